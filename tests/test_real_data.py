"""Train and evaluate on real photos. Slow; needs NYU pairs at HQMD_TEST_PAIRS, or beside the repository."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_dataset
from hqmd_cli.evaluation.evaluate import evaluate
from hqmd_cli.evaluation.protocols import PROTOCOLS
from hqmd_cli.losses import build_loss
from hqmd_cli.models import build_model
from hqmd_cli.training.augmentation import Augmentation, TrainTransform
from hqmd_cli.training.loop import EpochReport, fit

PAIRS = Path(os.environ.get("HQMD_TEST_PAIRS", Path(__file__).parents[2] / "shared" / "data" / "nyu_train"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(not PAIRS.is_dir(), reason=f"no NYU pairs at {PAIRS}; set HQMD_TEST_PAIRS to their folder"),
]
SMALL = ModelConfig().with_settings(
    backbone="mobilenetv3_small_050",
    size=(96, 128),
    output_stride=32,
    high_stages=2,
    low_stages=2,
    aspp_channels=64,
    fuse_channels=32,
)


def first_pairs(folder: Path, train: int, val: int) -> Path:
    """Link the first pairs of each split in a new folder."""
    for name, count in (("train", train), ("val", val)):
        names = (PAIRS / f"{name}.txt").read_text().split()[:count]
        for kind, suffix in (("rgb", "jpg"), ("depth", "png")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            for stem in names:
                (folder / kind / f"{stem}.{suffix}").symlink_to(PAIRS / kind / f"{stem}.{suffix}")
        (folder / f"{name}.txt").write_text("\n".join(names))
    return folder


def test_two_epochs_on_forty_pairs_lower_the_loss(tmp_path):
    folder = first_pairs(tmp_path / "pairs", 40, 4)
    data = open_dataset(folder, "train"), open_dataset(folder, "val")
    train = TrainConfig().with_settings(batch_size=8, epochs=2, lr=1e-3)
    reports = fit(SMALL, train, *data, tmp_path / "run", backbone_weights="none")
    first, second = (report.loss for report in reports if isinstance(report, EpochReport))
    assert second < first


def test_one_batch_of_four_is_overfitted_to_five_centimetres():
    torch.manual_seed(0)
    data = open_dataset(PAIRS, "train")
    still = TrainTransform(SMALL.network.size, Augmentation(scale=(1, 1), rotation_deg=0, colour=(1, 1), flip=0))
    samples = [still(data[i], np.random.default_rng(0)) for i in range(0, 400, 100)]
    rgb, depth_m, valid = (torch.from_numpy(np.stack([s[key] for s in samples])) for key in ("rgb", "depth_m", "valid"))
    network, loss_of = build_model(SMALL.with_settings(activation="exp")), build_loss("full")
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        estimate = network.estimate(rgb)
        optimizer.zero_grad()
        loss_of(estimate, depth_m, valid).backward()
        optimizer.step()
        schedule.step()
    assert (estimate.depth_m - depth_m)[valid].abs().mean() < 0.05


def test_the_mat_file_and_the_folder_give_the_same_numbers(tmp_path):
    """Write the val pairs in the layout of the official file, and evaluate both."""
    names = (PAIRS / "val.txt").read_text().split()
    from_folder = open_dataset(PAIRS, "val")
    mat = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(mat, "w", userblock_size=512) as file:
        chunked = {"chunks": True, "compression": "gzip", "compression_opts": 1}
        for field, shape, kind in (("images", (1449, 3, 640, 480), np.uint8), ("depths", (1449, 640, 480), np.float32)):
            file.create_dataset(field, shape, kind, **(chunked | {"chunks": (1, *shape[1:])}))
        for index, name in enumerate(names):
            sample = from_folder[index]
            file["images"][int(name) - 1] = sample.image.transpose(2, 1, 0)
            file["depths"][int(name) - 1] = sample.depth_m.T

    def guess(image):
        return 1 + image.astype(np.float32).mean(axis=2) / 64  # any prediction that follows the photo

    for protocol in ("hqmd", "eigen-filled"):
        ours, theirs = (evaluate(guess, data, PROTOCOLS[protocol]) for data in (from_folder, open_dataset(mat, "val")))
        assert ours.names == theirs.names and len(ours.names) == 74
        assert theirs.metrics == pytest.approx(ours.metrics, abs=1e-4)
