"""Learning from another model's depth."""

import json

import pytest
import torch
from torch import nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.losses import build_loss
from hqmd_cli.training.accelerator import open_accelerator
from hqmd_cli.training.distillation import Teacher
from hqmd_cli.training.loop import train_step
from hqmd_cli.training.state import Run

CPU = torch.device("cpu")
MODEL = ModelConfig().with_settings(
    backbone="test_efficientnet", size=(48, 64), output_stride=32, aspp_channels=16, low_channels=8, fuse_channels=16
)
TRAIN = TrainConfig().with_settings(batch_size=2, lr=1e-2, loss="depth", optimizer="adamw")


class Brightness(nn.Module):
    """A network that can be checked by hand: metres are the red channel; it notes the sizes that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def forward(self, rgb):
        self.seen.append(tuple(rgb.shape[-2:]))
        return rgb[:, :1]


@pytest.mark.parametrize(
    ("own", "predict_sides", "sees", "factor"),
    [
        ((48, 64), (), [(48, 64)], 1),
        ((96, 128), (), [(96, 128)], 1),
        ((48, 64), (96,), [(96, 128)], 2),
        ((48, 64), (48, 192), [(48, 64), (192, 256)], 2),  # the geometric mean of 1 and 4
    ],
)
def test_a_teacher_looks_as_it_would_in_predict(own, predict_sides, sees, factor):
    network = Brightness()
    teach = Teacher(network, ModelConfig().with_settings(size=own, predict_sides=predict_sides))
    depth_m = teach(torch.full((2, 3, 48, 64), 0.5))
    assert network.seen == sees
    torch.testing.assert_close(depth_m, torch.full((2, 1, 48, 64), 0.5 * factor))


def test_a_teacher_sees_mirrored_pictures_and_whole_multiples_where_its_checkpoint_says_so():
    """Mirrored answers are mirrored back: what a network sees on the left, and only there, ends up on both sides."""

    class Left(Brightness):
        def forward(self, rgb):
            depth_m = super().forward(rgb).clone()
            depth_m[..., : rgb.shape[-1] // 2] *= 3
            return depth_m

    config = ModelConfig().with_settings(size=(48, 64), predict_sides=(72,), predict_flip=True, size_multiple=32)
    network = Left()
    depth_m = Teacher(network, config)(torch.full((1, 3, 48, 64), 0.5))
    assert network.seen == [(64, 96), (64, 96)]
    torch.testing.assert_close(depth_m, torch.full((1, 1, 48, 64), 0.5 * 2 * 64 / 48))


def test_of_several_sides_a_teacher_sees_every_other_mirrored_as_predict_does():
    """What it sees on the left at the larger side ends up on the right."""

    class Left(Brightness):
        def forward(self, rgb):
            depth_m = super().forward(rgb).clone()
            depth_m[..., : rgb.shape[-1] // 2] *= 4 if rgb.shape[-2] == 48 else 9
            return depth_m

    config = ModelConfig().with_settings(size=(48, 64), predict_sides=(48, 96))
    depth_m = Teacher(Left(), config)(torch.full((1, 3, 48, 64), 0.5))
    torch.testing.assert_close(depth_m[..., :24], torch.full((1, 1, 48, 24), (0.5 * 4 * 1.0) ** 0.5))
    torch.testing.assert_close(depth_m[..., 40:], torch.full((1, 1, 48, 24), (0.5 * 1.0 * 9) ** 0.5))


@pytest.mark.slow
def test_the_share_decides_whom_the_pupil_follows():
    """The truth says 1 m, the teacher 4 m: what a few steps lead to lies where the share says."""
    batch = {
        "rgb": torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)),
        "depth_m": torch.ones(2, 1, 48, 64),
        "valid": torch.ones(2, 1, 48, 64, dtype=torch.bool),
    }
    reached = {}
    for share in (0.05, 1.0):
        config = TRAIN.with_settings(teacher_share=share)
        run = Run(MODEL, config, "none", None, open_accelerator(config, CPU), 1000, {})
        for _ in range(30):
            train_step(run, batch, build_loss("depth"), lambda rgb: torch.full((2, 1, 48, 64), 4.0))
        with torch.no_grad():
            reached[share] = run.network.train()(batch["rgb"]).mean().item()
    assert reached[0.05] < 2 < 3 < reached[1.0]


@pytest.mark.slow
def test_train_with_a_teacher_and_its_name_is_kept(hqmd, pairs, trained_run, tmp_path):
    result = hqmd(
        "train", "--data", pairs, "-o", tmp_path / "pupil", "--teacher", trained_run / "best", "--workers", "0",
        "--backbone", "test_efficientnet", "--backbone-weights", "none", "--size", "32x48", "--batch-size", "2",
        "--max-steps", "1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "pupil" / "best" / "config.json").read_text())["teacher"] == "run/best"
    assert "Also learned from the depth of: run/best" in (tmp_path / "pupil" / "best" / "README.md").read_text()


def test_an_unknown_teacher(hqmd, pairs, tmp_path):
    result = hqmd("train", "--data", pairs, "-o", tmp_path / "pupil", "--teacher", "nobody")
    assert result.returncode == 1 and "nobody" in result.stderr


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_an_impossible_share(share):
    with pytest.raises(HqmdError, match="teacher_share"):
        TRAIN.with_settings(teacher_share=share)
