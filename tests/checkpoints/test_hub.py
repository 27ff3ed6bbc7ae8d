"""Names to checkpoint folders. The hub is hub_server.py; each look-up in it runs as the user's would, in a process of
its own, because the hub's client reads HF_ENDPOINT and HF_HOME when it is imported.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hqmd_cli
from hqmd_cli.checkpoints import hub
from hqmd_cli.checkpoints.checkpoint import write_info
from hqmd_cli.checkpoints.hub_download import require_arrived
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.files import home
from hub_server import HubServer, commit_of

LOOK_UP = """
import json, sys
from hqmd_cli.errors import HqmdError
from hqmd_cli.checkpoints.hub import find_checkpoint
for name in sys.argv[1:]:
    try:
        print(json.dumps([name, "found", str(find_checkpoint(name))]))
    except HqmdError as error:
        print(json.dumps([name, "refused", str(error)]))
"""


def look_up(endpoint: str, home: Path, *names: str, **settings: str) -> dict[str, tuple[str, str]]:
    """name -> ("found", folder) or ("refused", message); anything but an HqmdError fails the process."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    env |= {"PYTHONPATH": str(Path(hqmd_cli.__file__).parents[1])} | settings
    done = subprocess.run(
        [sys.executable, "-c", LOOK_UP, *names], env=env, cwd=home, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return {name: (what, answer) for name, what, answer in map(json.loads, done.stdout.splitlines())}


def make_checkpoint(folder: Path, note: str) -> Path:
    """A folder that hqmd takes for a checkpoint; its weights are of no interest here."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"note": note}))
    (folder / "model.safetensors").write_bytes(note.encode() * 1000)
    (folder / "README.md").write_text(note)
    (folder / "events.log").write_text("not for download")
    return folder


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory):
    """(answers, the requests they took, cache, endpoint) of one round of look-ups; the server is gone afterwards."""
    top = tmp_path_factory.mktemp("hub")
    home = top / "home"
    home.mkdir()
    (top / "bare").mkdir()
    (top / "bare" / "README.md").write_text("some other model")
    models = {
        ("org/name", "main"): make_checkpoint(top / "main", "first"),
        ("org/name", "v2"): make_checkpoint(top / "v2", "second"),
        ("org/name", "refs/pr/1"): make_checkpoint(top / "pr", "third"),
        ("org/bare", "main"): top / "bare",
    }
    names = ["org/name", "org/name@v2", "org/name@refs/pr/1", "org/bare", "org/unknown", "org/name@v9", "./runs"]
    with HubServer(models) as server:
        answers = look_up(server.endpoint, home, *names)
        return answers, list(server.requests), home, server.endpoint


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "mine", "mine")
    assert hub.find_checkpoint(str(folder)) == folder


def test_a_relative_folder_that_looks_like_a_hub_name_comes_first(tmp_path: Path, monkeypatch) -> None:
    make_checkpoint(tmp_path / "org" / "name", "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "download", lambda *_: pytest.fail("asked the hub for a folder that is here"))
    assert hub.find_checkpoint("org/name") == Path("org/name")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch) -> Path:
    """A package with two bundled checkpoints beside it, as in a checkout."""
    package = tmp_path / "checkout" / "hqmd_cli"
    package.mkdir(parents=True)
    for name in ("hqmd-small", "hqmd-large"):
        make_checkpoint(package.parent / "weights" / name, name)
    (package.parent / "weights" / "notes").mkdir()  # without config.json: no checkpoint
    monkeypatch.setattr(home, "__file__", str(package / "files" / "home.py"))
    monkeypatch.setattr(hub, "__file__", str(package / "checkpoints" / "hub.py"))
    monkeypatch.chdir(tmp_path)
    return package


def test_bundled_name(bundle: Path) -> None:
    assert hub.find_checkpoint("hqmd-small") == bundle.parent / "weights" / "hqmd-small"
    assert list(hub.bundled_models()) == ["hqmd-large", "hqmd-small"]


def test_a_bundled_name_wins_over_a_folder_called_so(bundle: Path, tmp_path: Path) -> None:
    """Or unpacking an archive would change which model computes."""
    make_checkpoint(tmp_path / "hqmd-small", "mine")
    assert hub.find_here("hqmd-small") == hub.find_checkpoint("hqmd-small") == bundle.parent / "weights" / "hqmd-small"
    assert hub.find_checkpoint("./hqmd-small") == Path("hqmd-small")


def test_what_comes_with_hqmd_is_not_changed(bundle: Path, tmp_path: Path) -> None:
    mine = make_checkpoint(tmp_path / "mine", "mine")
    assert hub.find_own(str(mine)) == mine
    remedy = "is not changed; make a copy, `hqmd export .* -o MY-MODEL`, and name that"
    with pytest.raises(HqmdError, match=f"^hqmd-small: comes with hqmd, and {remedy}"):
        hub.find_own("hqmd-small")
    (bundle.parent / "weights").rename(bundle / "weights")  # as in a wheel
    with pytest.raises(HqmdError, match=f"lies in the installed package, and {remedy}"):
        hub.find_own(str(bundle / "weights" / "hqmd-small"))


def test_the_hubs_cache_is_not_changed(tmp_path: Path) -> None:
    cached = make_checkpoint(tmp_path / "models--org--name" / "snapshots" / ("a" * 40), "theirs")
    with pytest.raises(HqmdError, match="lies in the cache of the Hugging Face hub, and is not changed"):
        hub.find_own(str(cached))
    (tmp_path / "link").symlink_to(cached)
    with pytest.raises(HqmdError, match="lies in the cache of the Hugging Face hub"):
        hub.find_own(str(tmp_path / "link"))
    before = {path.name: path.read_bytes() for path in cached.iterdir()}
    info = CheckpointInfo(ModelConfig(), TrainConfig())
    with pytest.raises(HqmdError, match="lies in the cache of the Hugging Face hub"):
        write_info(cached, info)
    assert {path.name: path.read_bytes() for path in cached.iterdir()} == before


@pytest.mark.parametrize("kind", ["sha256", "git"])
def test_what_arrives_damaged_is_removed(kind: str, tmp_path: Path) -> None:
    content = b"weights" * 1000
    blob = f"blob {len(content)}\0".encode() + content
    digest = hashlib.sha256(content) if kind == "sha256" else hashlib.sha1(blob)
    (tmp_path / "blobs").mkdir()
    stored, path = tmp_path / "blobs" / digest.hexdigest(), tmp_path / "model.safetensors"
    stored.write_bytes(content)
    path.symlink_to(stored)
    require_arrived("org/name", path)
    stored.write_bytes(content[:-1] + b"x")  # of the same size, which the client compares
    with pytest.raises(HqmdError, match=r"org/name: model\.safetensors arrived damaged"):
        require_arrived("org/name", path)
    assert not stored.exists() and not path.is_symlink()


def test_a_wheel_carries_the_weights_inside_the_package(bundle: Path) -> None:
    (bundle.parent / "weights").rename(bundle / "weights")
    assert hub.find_checkpoint("hqmd-small") == bundle / "weights" / "hqmd-small"


def test_unknown_name_lists_the_bundled_ones(bundle: Path) -> None:
    with pytest.raises(HqmdError, match=r"no model 'hqmd-smal'.*hqmd-large, hqmd-small"):
        hub.find_checkpoint("hqmd-smal")


def test_no_bundled_models_at_all(bundle: Path) -> None:
    for name in ("hqmd-small", "hqmd-large"):
        (bundle.parent / "weights" / name / "config.json").unlink()
    assert hub.bundled_models() == {}
    with pytest.raises(HqmdError, match="no model 'hqmd-small'"):
        hub.find_checkpoint("hqmd-small")


def test_folder_without_config(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HqmdError, match=r"empty: a folder without config\.json"):
        hub.find_checkpoint(str(tmp_path / "empty"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "revision", "note"),
    [("org/name", "main", "first"), ("org/name@v2", "v2", "second"), ("org/name@refs/pr/1", "refs/pr/1", "third")],
)
def test_download(online, name: str, revision: str, note: str) -> None:
    answers, _, home, _ = online
    what, folder = answers[name]
    assert what == "found", folder
    # HF_HOME is where the user said his models go.
    assert Path(folder).is_relative_to(home) and Path(folder).name == commit_of("org/name", revision)
    assert json.loads((Path(folder) / "config.json").read_text()) == {"note": note}
    assert (Path(folder) / "model.safetensors").read_bytes() == note.encode() * 1000


@pytest.mark.slow
def test_only_the_checkpoint_s_files_are_downloaded(online) -> None:
    answers, requests, _, _ = online
    assert {path.name for path in Path(answers["org/name"][1]).iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    assert not any("events.log" in request for request in requests)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("org/unknown", "org/unknown: no such folder here and no such model on the Hugging Face hub"),
        ("org/name@v9", "org/name@v9: the Hugging Face hub has no such revision"),
        ("org/bare", "org/bare: the model on the hub has no config.json, so it is not an hqmd checkpoint"),
    ],
)
def test_what_the_hub_does_not_have(online, name: str, complaint: str) -> None:
    assert online[0][name] == ("refused", complaint)


def test_a_mistyped_path_is_refused_by_name(online) -> None:
    what, complaint = online[0]["./runs"]
    assert what == "refused" and complaint.startswith("no model './runs'")


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"HF_HUB_OFFLINE": "1"}], ids=["server gone", "HF_HUB_OFFLINE"])
def test_without_the_hub(online, settings: dict[str, str]) -> None:
    """What was downloaded once still works; what was not is a problem that the user can tell from a wrong name."""
    before, _, home, endpoint = online
    answers = look_up(endpoint, home, "org/name", "org/name@v2", "org/other", **settings)
    assert answers["org/name"] == before["org/name"]
    assert answers["org/name@v2"] == before["org/name@v2"]
    why = "HF_HUB_OFFLINE is set" if settings else f"{endpoint} does not answer"
    complaint = f"org/other: no such folder here, and the Hugging Face hub cannot be reached: {why}"
    assert answers["org/other"] == ("refused", complaint)


PRETRAINED = """
import sys
from pathlib import Path
import timm, torch
from safetensors.torch import load_file
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models import build_model
config = ModelConfig().with_settings(backbone="mobilenetv3_small_050", size=(32, 32), output_stride=32)
network = build_model(config, "default")
there = load_file(sys.argv[1])
ours = network.backbone.net.state_dict()
print(len(ours), all(torch.equal(tensor, there[name]) for name, tensor in ours.items()))
"""


@pytest.mark.slow
def test_a_pretrained_backbone_comes_from_the_hub(tmp_path: Path) -> None:
    """The default of `hqmd train`: every tensor of the backbone is the hub's."""
    import timm
    from safetensors.torch import save_file

    repo = tmp_path / "repo"
    repo.mkdir()
    model = timm.create_model("mobilenetv3_small_050")
    save_file(model.state_dict(), repo / "model.safetensors")
    (repo / "config.json").write_text(json.dumps({"architecture": "mobilenetv3_small_050"}))
    with HubServer({(timm.get_pretrained_cfg("mobilenetv3_small_050").hf_hub_id, "main"): repo}) as server:
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env |= {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
        env |= {"PYTHONPATH": str(Path(hqmd_cli.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", PRETRAINED, str(repo / "model.safetensors")]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    tensors, equal = done.stdout.split()
    assert int(tensors) > 100 and equal == "True"
