"""Settings that networks once had: a checkpoint that names them unused opens, one that used them is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hqmd_cli.checkpoints.checkpoint import load_checkpoint, read_info, record_model, save_checkpoint
from hqmd_cli.checkpoints.hub import CONFIG_FILE
from hqmd_cli.checkpoints.run_folder import saved_states
from hqmd_cli.config.network import DELETED, LAST_WITH_DELETED, ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.errors import HqmdError
from hqmd_cli.models.recipes import read_recipe
from hqmd_cli.training.loop import fit

UNUSED: dict[str, Any] = {"guide": "", "guide_blocks": [5, 7, 9], "guide_channels": 192, "left_out": []}
USED = [
    ({"guide": "vit_small_patch14_dinov2"}, "guide, guide_blocks, guide_channels"),
    ({"left_out": [3, 6]}, "left_out"),
]


def rewritten(checkpoint: Path, folder: Path, settings: dict[str, Any]) -> Path:
    """A copy of a checkpoint whose config.json has further settings of the network."""
    shutil.copytree(checkpoint, folder)
    values = json.loads((folder / CONFIG_FILE).read_text())
    values["model"] |= settings
    (folder / CONFIG_FILE).write_text(json.dumps(values))
    return folder


def test_a_checkpoint_opens_that_names_them_unused(trained_run: Path, tmp_path: Path) -> None:
    new = json.loads((trained_run / "best" / CONFIG_FILE).read_text())["model"]
    member = {**new, **UNUSED, "also": []}
    old = rewritten(trained_run / "best", tmp_path / "old", UNUSED)
    assert load_checkpoint(old, torch.device("cpu"))[1] == read_info(trained_run / "best")
    merged = rewritten(trained_run / "best", tmp_path / "merged", {**UNUSED, "also": [member]})
    assert read_info(merged).model.members == (read_info(old).model,) * 2


@pytest.mark.parametrize(("settings", "named"), USED)
def test_a_checkpoint_that_uses_one_is_refused(
    hqmd, trained_run: Path, photo: Path, tmp_path: Path, settings: dict[str, Any], named: str
) -> None:
    old = rewritten(trained_run / "best", tmp_path / "old", UNUSED | settings)
    result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", old)
    complaint = f"hqmd no longer supports {named}; commit {LAST_WITH_DELETED} was the last that did"
    assert result.returncode == 1 and f"{old / CONFIG_FILE}: {complaint}\n" in result.stderr
    assert "Traceback" not in result.stderr
    member = rewritten(trained_run / "best", tmp_path / "member", {"also": [UNUSED | settings]})
    with pytest.raises(HqmdError, match=complaint):
        read_info(member)


@pytest.mark.parametrize(
    "setting", ['guide = "test_vit"', "guide_blocks = [1, 3]", "guide_channels = 8", "left_out = [2]"]
)
def test_a_recipe_that_sets_one_is_refused(tmp_path: Path, setting: str) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"[model]\n{setting}\n")
    with pytest.raises(HqmdError, match=rf"recipe\.toml: hqmd no longer supports {setting.split()[0]}; commit"):
        read_recipe(str(recipe))


def test_new_checkpoints_omit_them(trained_run: Path, tmp_path: Path) -> None:
    assert not DELETED.keys() & ModelConfig().to_flat().keys()
    old = rewritten(trained_run / "best", tmp_path / "old", UNUSED)
    save_checkpoint(tmp_path / "new", *load_checkpoint(old, torch.device("cpu")))
    record_model(old, read_info(old).model)
    for folder in (tmp_path / "new", old):
        assert not DELETED.keys() & json.loads((folder / CONFIG_FILE).read_text())["model"].keys()


@pytest.mark.slow
def test_a_run_resumes_from_a_state_that_names_them_unused(pairs: Path, tmp_path: Path) -> None:
    train = TrainConfig().with_settings(batch_size=2, max_steps=1)
    data = open_training_data(pairs, None)
    model = ModelConfig().with_settings(
        backbone="test_efficientnet", size=(48, 64), output_stride=32, aspp_channels=8, fuse_channels=8
    )

    def run(resume: bool) -> None:
        list(fit(model, train, *data, tmp_path / "run", backbone_weights="none", resume=resume))

    run(resume=False)
    (path,) = saved_states(tmp_path / "run")[:1]
    state = torch.load(path, weights_only=True)
    torch.save({**state, "settings": {**UNUSED, **state["settings"]}}, path)
    run(resume=True)
    torch.save({**state, "settings": {**UNUSED, **state["settings"], "left_out": (3,)}}, path)
    with pytest.raises(HqmdError, match=rf"{path.name}: hqmd no longer supports left_out"):
        run(resume=True)
