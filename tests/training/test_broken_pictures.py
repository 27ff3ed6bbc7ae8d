"""Pictures that cannot be read in training: named once, counted, replaced, and from 1 % on refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import scene
from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data.sample import sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.training.augmentation import AUGMENTATIONS, TrainTransform
from hqmd_cli.training.batches import TrainSet
from hqmd_cli.training.loop import BrokenPicture, EpochReport, StepReport, fit

MODEL = ModelConfig().with_settings(
    backbone="test_efficientnet", size=(32, 48), output_stride=32, aspp_channels=8, fuse_channels=8
)
TRAIN = TrainConfig().with_settings(batch_size=50, epochs=2, lr=1e-3)
PICTURES = 100  # of which one may be broken


class Scenes:
    """Pictures in memory, some of which cannot be read."""

    ground_truth, description = "as given", "scenes"

    def __init__(self, number: int, broken: tuple[int, ...] = ()) -> None:
        self.number, self.broken = number, broken

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int):
        if index in self.broken:
            raise HqmdError(f"rgb/{index:05}.jpg: cannot be read:\n cut off")
        return sample_from(f"{index}", *scene(index, (32, 48)))


def run(folder, broken: tuple[int, ...], train: TrainConfig = TRAIN, **options):
    return list(fit(MODEL, train, Scenes(PICTURES, broken), Scenes(2), folder, backbone_weights="none", **options))


def faults(reports) -> list[str]:
    return [report.fault for report in reports if isinstance(report, BrokenPicture)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_each_is_named_once_and_the_run_goes_on(tmp_path, workers: int) -> None:
    reports = run(tmp_path, broken=(7,), workers=workers)
    assert faults(reports) == ["rgb/00007.jpg: cannot be read: cut off"]
    assert sum(isinstance(report, StepReport) for report in reports) == 2 * PICTURES // TRAIN.batching.batch_size
    assert sum(isinstance(report, EpochReport) for report in reports) == 2


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_more_than_one_percent_are_refused(tmp_path, workers: int) -> None:
    with pytest.raises(
        HqmdError, match=r"^2 of 100 training pictures cannot be read, more than 1%, such as rgb/\d+\.jpg"
    ):
        run(tmp_path, broken=(7, 57), workers=workers)


def test_a_run_of_broken_ones_ends_soon(tmp_path) -> None:
    """Not after all pictures were tried for one place in a batch."""
    with pytest.raises(HqmdError, match=r"^2 of 100 training pictures"):
        run(tmp_path, broken=tuple(range(PICTURES)))


@pytest.mark.slow
def test_extra_data_counts(tmp_path) -> None:
    """All of it, though an epoch draws only as much as there is of the data."""
    once = TRAIN.with_settings(epochs=1)
    reports = run(tmp_path / "a", (7, 57), once, extra_data=Scenes(100))
    assert len(faults(reports)) == 2
    with pytest.raises(HqmdError, match=r"^3 of 200 training pictures cannot be read"):
        run(tmp_path / "b", (7, 57), once, extra_data=Scenes(100, broken=(3,)))


def examples(broken: tuple[int, ...], skip: int = 0, number: int = PICTURES) -> TrainSet:
    transform = TrainTransform(MODEL.network.size, AUGMENTATIONS["eigen"])
    return TrainSet(Scenes(number, broken), None, lambda position: transform, seed=0, epoch=3, skip=skip)


def test_the_next_in_the_order_takes_its_place() -> None:
    whole = examples((), number=200)
    order = [int(index) for index in whole.order]
    first, last = order[0], order[-1]
    with_holes = examples((first, last), number=200)
    assert with_holes[0]["faults"] == f"rgb/{first:05}.jpg: cannot be read: cut off" and whole[0]["faults"] == ""
    np.testing.assert_array_equal(with_holes[0]["rgb"], whole[1]["rgb"])
    assert with_holes[199]["faults"].count("\n") == 1  # behind the last comes the first, which is broken, too
    np.testing.assert_array_equal(with_holes[199]["rgb"], whole[1]["rgb"])


def test_a_resumed_epoch_takes_the_same() -> None:
    last = int(examples(()).order[-1])
    whole, rest = examples((last,)), examples((last,), skip=75)
    assert len(rest) == 25
    for position in (0, 20, 24):
        np.testing.assert_array_equal(rest[position]["rgb"], whole[75 + position]["rgb"])


@pytest.mark.slow
def test_a_stopped_and_resumed_run_equals_the_unbroken_one(tmp_path) -> None:
    run(tmp_path / "unbroken", broken=(7,))
    stopped = fit(MODEL, TRAIN, Scenes(PICTURES, (7,)), Scenes(2), tmp_path / "stopped", backbone_weights="none")
    for report in stopped:
        if isinstance(report, EpochReport):
            stopped.close()
    resumed = run(tmp_path / "stopped", broken=(7,), resume=True)
    assert len(faults(resumed)) == 1  # named once a run of the program
    ours, theirs = (
        load_checkpoint(tmp_path / kind / "last", torch.device("cpu"))[0] for kind in ("stopped", "unbroken")
    )
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in theirs.state_dict().items())


@pytest.mark.slow
def test_the_command_tells_it_and_looks_before_it_begins(hqmd, pairs, tmp_path, monkeypatch) -> None:
    """A photo that is cut off is found by the quick look, which here is more than a hundredth."""
    photo = pairs / "rgb" / "a2.jpg"
    photo.write_bytes(photo.read_bytes()[:-200])
    command = (
        "train",
        "--data",
        pairs,
        "-o",
        tmp_path / "run",
        "--backbone",
        "test_efficientnet",
        "--size",
        "32x48",
    )
    command += ("--backbone-weights", "none", "--batch-size", 2, "--epochs", 1, "--workers", 0)
    result = hqmd(*command)
    assert result.returncode == 1 and "1 of 4 frames looked at cannot be used" in result.stderr
    assert "a2.jpg" in result.stderr and "`hqmd check` finds all" in result.stderr and not (tmp_path / "run").exists()
    monkeypatch.setattr("hqmd_cli.data.sample.TOLERATED_FAULTS", 0.25)
    result = hqmd(*command)
    assert result.returncode == 0, result.stderr
    assert "data: " in result.stderr and "left out (1 so far): " in result.stderr
    assert result.stderr.count("a2.jpg: cannot be read") == 2  # by the look, and by the run


@pytest.mark.slow
def test_the_command_warns_of_coarse_depth(hqmd, pairs, tmp_path) -> None:
    for depth in (pairs / "depth").iterdir():
        values = np.asarray(Image.open(depth))
        Image.fromarray((values / 1000 * 25.5).astype(np.uint8)).save(depth)
    command = (
        "train",
        "--data",
        pairs,
        "-o",
        tmp_path / "run",
        "--backbone",
        "test_efficientnet",
        "--size",
        "32x48",
    )
    command += (
        "--backbone-weights",
        "none",
        "--batch-size",
        2,
        "--max-steps",
        1,
        "--workers",
        0,
        "--depth-scale",
        25.5,
    )
    result = hqmd(*command)
    assert result.returncode == 0, result.stderr
    assert "depth has 8 bits, and so comes in steps of 39 mm" in result.stderr
