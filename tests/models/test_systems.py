"""Every system of models.SYSTEMS, ours and those of Table 1, by the same rules: to be named there is to be tested.

Backbones are timm's `test_efficientnet` where a system takes one: residual blocks that start at zero pass no gradient.
"""

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import scene
from hqmd_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.config.view import View
from hqmd_cli.data import open_dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.export.onnx_graph import export_file
from hqmd_cli.inference.engines.pytorch import TorchEngine
from hqmd_cli.inference.predictor import DepthPredictor
from hqmd_cli.losses import LOSSES, build_loss
from hqmd_cli.models import SYSTEMS, build_model
from hqmd_cli.models.base import DepthModel
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.reporting.model_list import parameters_of

SMALL_BACKBONE = "test_efficientnet"
LEARNING_BACKBONE = "resnet18"  # FCRN's last layers are 1/32 as wide as the deepest map: of the other, two channels
SMALL = {"aspp_channels": 12, "low_channels": 8, "fuse_channels": 16, "size": (64, 96)}
OURS = "hqmd"  # whose paper has no address, and whose settings are the defaults
PAIRS = Path(os.environ.get("HQMD_TEST_PAIRS", Path(__file__).parents[3] / "shared" / "data" / "nyu_train"))
OVERFIT_STEPS, OVERFIT_LR = 100, 2e-3
# No batch norm, or linear in its features.
OWN_LR = {"eigen2014": 5e-4, "eigen2015": 5e-4, "make3d": 1e-2, "make3d-planes": 1e-2}
LINEAR = ("make3d", "make3d-laplacian", "make3d-planes")  # which cannot learn eight pictures wholly by heart
# The parts and planes of a photo take a second.
TIMED_SYSTEMS = [pytest.param(name, marks=pytest.mark.slow if name in LINEAR else ()) for name in SYSTEMS]

Build = Callable[[str], DepthModel]


def config_of(name: str, backbone: str = SMALL_BACKBONE) -> ModelConfig:
    return from_paper(name, {"model": {**SMALL, "backbone": backbone}})[0]


@pytest.fixture(scope="module")
def built() -> Build:
    """One network of each system for all tests that change nothing, as some are large."""
    networks: dict[str, DepthModel] = {}

    def build(name: str) -> DepthModel:
        if name not in networks:
            networks[name] = fresh(name)
        return networks[name].eval()

    return build


def fresh(name: str, backbone: str = SMALL_BACKBONE, seed: int = 0) -> DepthModel:
    torch.manual_seed(seed)
    return build_model(config_of(name, backbone))


def photos(count: int, height: int, width: int) -> Tensor:
    """Scenes, not noise: what a system looks for, such as regions, is there."""
    images = np.stack([scene(seed, (height, width))[0] for seed in range(count)])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def depths(count: int, height: int, width: int) -> Tensor:
    return torch.from_numpy(np.stack([scene(seed, (height, width))[1] for seed in range(count)]))[:, None]


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (96, 64)])
@pytest.mark.parametrize("name", TIMED_SYSTEMS)
def test_depth_is_positive_and_as_large_as_the_photo(name: str, size: tuple[int, int], built: Build) -> None:
    with torch.no_grad():
        depth_m = built(name)(photos(2, *size))
    assert depth_m.shape == (2, 1, *size)
    assert depth_m.dtype == torch.float32
    assert depth_m.isfinite().all()
    assert depth_m.min() > 0


@pytest.mark.parametrize("name", TIMED_SYSTEMS)
def test_depth_depends_on_the_photo_and_on_no_other(name: str, built: Build) -> None:
    network, batch = built(name), photos(3, 64, 96)
    with torch.no_grad():
        together, alone = network(batch), network(batch[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[0], together[2], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name.startswith("eigen")])
def test_what_brings_photos_to_its_own_size_says_the_same_at_every_side(name: str) -> None:
    """Whatever predict multiplies by: to the network a larger photo has not come nearer."""
    network, image = fresh(name), scene(3, (128, 192))[0]  # TorchEngine changes its network's memory format
    engine = TorchEngine(network, torch.device("cpu"))
    at_64, at_128 = (
        DepthPredictor(engine, ModelConfig(network.config, view=View((side,))))(image) for side in (64, 128)
    )
    np.testing.assert_allclose(np.median(at_128), np.median(at_64), rtol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_reopens_by_its_config_alone(name: str, built: Build, tmp_path: Path) -> None:
    network, batch = built(name), photos(1, 64, 96)
    save_checkpoint(tmp_path / "saved", network, CheckpointInfo(ModelConfig(network.config), from_paper(name, {})[1]))
    reopened, info = load_checkpoint(tmp_path / "saved", torch.device("cpu"))
    assert type(reopened) is type(network)
    assert info.model == ModelConfig(network.config)
    with torch.no_grad():
        torch.testing.assert_close(reopened(batch), network(batch), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_its_own_loss_reaches_every_parameter(name: str) -> None:
    network, loss_of = fresh(name).train(), build_loss(from_paper(name, {})[1].objective.loss)
    truth_m = depths(2, 64, 96)
    valid = torch.ones_like(truth_m, dtype=torch.bool)
    valid[:, :, :8] = False  # holes are the rule
    loss = loss_of(network.estimate(photos(2, 64, 96)), truth_m, valid)
    assert loss.ndim == 0
    loss.backward()
    learning = {n: p for n, p in network.named_parameters() if p.requires_grad}
    assert [n for n, p in learning.items() if p.grad is None or not p.grad.isfinite().all()] == []
    assert [n for n, p in learning.items() if p.grad.count_nonzero() == 0] == []


@pytest.mark.parametrize("name", SYSTEMS)
def test_its_paper_is_complete(name: str, built: Build) -> None:
    paper, about = built(name).paper, inspect.getdoc(sys.modules[type(built(name)).__module__]) or ""
    assert paper.authors and paper.authors[-4:].isdigit()  # "Laina et al. 2016"
    assert paper.weights
    if name != OURS:
        assert paper.url.startswith("https://")
        assert paper.model or paper.training
        assert paper.url in about or paper.authors.split()[0] in about
    model, training = from_paper(name, {})
    assert model.network.system == name
    assert training.objective.loss in LOSSES
    assert ModelConfig.from_flat(model.to_flat()) == model and TrainConfig.from_flat(training.to_flat()) == training


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_can_be_laid_out_without_values(name: str, built: Build) -> None:
    """As `hqmd models` does to count parameters."""
    assert parameters_of(config_of(name)) == sum(p.numel() for p in built(name).parameters())


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_users_settings_lie_over_the_papers(name: str) -> None:
    model, training = from_paper(name, {"model": {"size": [40, 56]}, "training": {"lr": 0.5}})
    assert (model.network.size, training.optimization.lr) == ((40, 56), 0.5)
    with pytest.raises(HqmdError, match="unknown ModelConfig setting layers"):
        from_paper(name, {"model": {"layers": 3}})


def eight_pairs() -> tuple[Tensor, Tensor]:
    """(8, 3, 64, 96) RGB in 0..1 and (8, 1, 64, 96) metres, 0 in holes: real rooms where there are any, or scenes."""
    if not PAIRS.is_dir():
        return photos(8, 64, 96), depths(8, 64, 96)
    rooms = open_dataset(PAIRS, "train", "filled", None)
    samples = [rooms[i] for i in range(0, len(rooms), len(rooms) // 8)][:8]
    images = np.stack([cv2.resize(sample.image, (96, 64), interpolation=cv2.INTER_AREA) for sample in samples])
    maps = np.stack([cv2.resize(sample.depth_m, (96, 64), interpolation=cv2.INTER_NEAREST) for sample in samples])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(maps)[:, None]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", SYSTEMS)
def test_overfits_eight_pairs(name: str) -> None:
    """At last twice as near as the best constant, which knows nothing of the pictures; a linear one 1.5 times."""
    network, loss_of = fresh(name, LEARNING_BACKBONE), build_loss(from_paper(name, {})[1].objective.loss)
    rgb, truth_m = eight_pairs()
    valid = truth_m > 0
    constant = min(abs_rel(torch.tensor(c), truth_m[valid]) for c in np.arange(1, 5, 0.1))
    enough = constant / (1.5 if name in LINEAR else 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=OWN_LR.get(name, OVERFIT_LR))
    for step in range(1, OVERFIT_STEPS + 1):
        optimizer.zero_grad()
        loss_of(network.train().estimate(rgb), truth_m, valid).backward()
        optimizer.step()
        if step % 10 == 0:
            with torch.no_grad():
                learnt = abs_rel(network.eval()(rgb)[valid], truth_m[valid])
            if learnt < enough:
                return
    pytest.fail(f"AbsRel is {learnt:.3f} after {OVERFIT_STEPS} steps, not below {enough:.3f}")


def abs_rel(pred_m: Tensor, truth_m: Tensor) -> float:
    return ((pred_m - truth_m).abs() / truth_m).mean().item()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", SYSTEMS)
def test_exports_to_onnx(name: str, built: Build, tmp_path: Path) -> None:
    """Compared with torch on pictures of three sizes, one of them odd, by the export itself.

    Our own network is exported in tests/inference/test_engines.py, too.
    """
    if built(name).not_in_onnx:
        with pytest.raises(HqmdError, match="cannot become ONNX"):
            export_file(built(name), config_of(name), tmp_path / "model.onnx")
        return
    # With seed 0, one logit of DORN is 0 but for rounding on some processors, where torch and ONNX Runtime choose
    # neighbouring intervals.
    network = fresh(name, seed=1) if name == "dorn" else built(name)
    difference = export_file(network.eval(), config_of(name), tmp_path / "model.onnx")
    assert difference.largest_mm < 10
    assert (tmp_path / "model.onnx").stat().st_size > 0
