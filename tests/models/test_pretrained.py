"""Without network, `hqmd train` says within seconds that pretrained weights cannot be had, before it imports torch."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import timm

import hqmd_cli
from hqmd_cli.errors import HqmdError
from hqmd_cli.models import pretrained
from hqmd_cli.models.network import DepthNetwork
from hqmd_cli.models.pretrained import comes_from_timms_own, refuse_out_of_reach


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub's client, and no network; returns the cache."""
    monkeypatch.setattr(pretrained, "hub_is_silent", lambda: "https://hub: no answer")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_weights_out_of_reach_are_refused_with_the_remedy(cut_off: Path) -> None:
    said = r"resnet50: pretrained weights cannot be had: https://hub: no answer; pass --backbone-weights FILE, or none"
    with pytest.raises(HqmdError, match=said):
        refuse_out_of_reach("resnet50")


@pytest.mark.parametrize("repository", ["models--timm--resnet50.a1_in1k", "models--me--resnet50"])
def test_a_copy_is_looked_at_by_timm(cut_off: Path, repository: str) -> None:
    (cut_off / repository).mkdir()
    refuse_out_of_reach("resnet50")
    with pytest.raises(HqmdError):
        refuse_out_of_reach("tf_efficientnet_lite0")


def test_what_only_timm_knows_is_left_to_timm(cut_off: Path) -> None:
    for name in ("no_such_backbone", "vitamin_base_224", "gcvit_base"):
        refuse_out_of_reach(name)


def test_a_hub_that_answers(cut_off: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "hub_is_silent", lambda: "")
    refuse_out_of_reach("resnet50")


@pytest.mark.parametrize("name", ["resnet50", "resnet50.a1_in1k", "convnext_tiny", "mobilenetv3_small_050", "vgg16"])
def test_where_weights_come_from_is_read_as_timm_means_it(name: str) -> None:
    hub = timm.get_pretrained_cfg(name).hf_hub_id  # type: ignore[union-attr]
    assert hub and hub.startswith("timm/") and comes_from_timms_own(name)


def test_our_own_settings_need_no_torch() -> None:
    """recipes.from_paper takes the defaults for them."""
    assert not DepthNetwork.paper.model and not DepthNetwork.paper.training


@pytest.mark.slow
def test_train_ends_before_torch_is_imported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print([m for m in ('torch', 'timm') if m in sys.modules]))\n"
        f"sys.argv = ['hqmd', 'train', '--data', {str(tmp_path)!r}, '--backbone', 'resnet50']\n"
        "from hqmd_cli.app import main; main()"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    env |= {"PYTHONPATH": str(Path(hqmd_cli.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "[]"
    assert "resnet50: pretrained weights cannot be had: http://127.0.0.1" in done.stderr
    assert not list(tmp_path.glob("runs/*"))
