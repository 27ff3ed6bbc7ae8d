"""By what a model is wrong as a whole: the power and the factor that held-out photos ask for."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.data import open_dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation import calibration
from hqmd_cli.evaluation.calibration import best_power, depth_pairs
from hqmd_cli.evaluation.prediction_source import model_source
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.models import build_system

CLIP_M = (0.001, 10.0)


def pictures(power: float, noise: float = 0.05) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictions whose depth to `power` would be right, up to noise and a common factor, and the truth."""
    rng = np.random.default_rng(7)
    truths = [rng.uniform(1, far, 400) for far in (2, 3, 4, 6, 8)]
    return [(1.3 * (t * np.exp(rng.normal(0, noise, t.shape))) ** (1 / power), t) for t in truths]


@pytest.mark.parametrize("power", [0.85, 1.0, 1.25])
def test_the_power_that_the_truth_asks_for_is_found(power: float) -> None:
    assert best_power(pictures(power), CLIP_M) == pytest.approx(power, abs=0.03)


def test_what_the_protocol_clips_is_clipped() -> None:
    """Depth that is right up to 10 m and far too far beyond it asks for nothing where that is clipped."""
    pairs = [(np.append(t, [60.0] * 20), np.append(t, [10.0] * 20)) for _, t in pictures(1.0, 0)]
    assert best_power(pairs, CLIP_M) == 1 and best_power(pairs, None) != 1


def test_pairs_are_the_pixels_that_count_not_clipped(pairs) -> None:
    protocol = replace(find_protocol("hqmd"), clip_m=(0.001, 2.0))
    dataset = open_dataset(pairs, "val", protocol.ground_truth, None)
    sample = dataset[0]
    far = np.where(sample.depth_m > 0, sample.depth_m + 20, 20).astype(np.float32)
    (pred_m, depth_m), *_ = depth_pairs(model_source(lambda image: far), dataset, protocol)
    assert pred_m.min() > 20 and depth_m.min() > 0
    np.testing.assert_allclose(pred_m, depth_m + 20, rtol=1e-6)
    assert 100 < len(pred_m) <= 5000


@pytest.mark.slow
def test_calibrate_finds_a_power_and_keeps_it(hqmd, trained_run, pairs, tmp_path, monkeypatch) -> None:
    folder = shutil.copytree(trained_run / "best", tmp_path / "model")
    judged = ("--data", pairs, "--split", "val")
    few = hqmd("calibrate", folder, *judged)
    assert "too few" in few.stderr and read_info(folder).model.view.power == 1
    assert "this model does not know it" in few.stderr and not read_info(folder).model.view.errors
    plain = read_info(folder).figures["metrics"]
    monkeypatch.setattr(calibration, "FEWEST_PHOTOS", 1)
    result = hqmd("calibrate", folder, *judged)
    info = read_info(folder)
    power, metrics = info.model.view.power, info.figures["metrics"]
    assert power != 1 and f"d^{power:g} at size default" in result.stderr
    assert f"becomes {info.model.view.calibration:g} d^{power:g}" in (folder / "README.md").read_text()
    assert metrics["bias"] == pytest.approx(1, abs=1e-3)
    assert metrics["RMSE"] * metrics["AbsRel"] < plain["RMSE"] * plain["AbsRel"]
    again = json.loads(hqmd("evaluate", "--model", folder, *judged, "--json").stdout)["metrics"]
    assert again["RMSE"] == pytest.approx(metrics["RMSE"])
    errors = info.model.view.errors
    assert min(map(max, errors.values())) > 0 and "how sure, on " in result.stderr and "AUSE" in result.stderr
    further = hqmd("calibrate", folder, *judged, "--also", pairs)
    assert further.stderr.count("how sure, on ") == 2 and "hqmd" in further.stdout
    assert read_info(folder).model.view.shape_error == pytest.approx(errors["shape_error"], abs=1e-3)  # the same again


def test_the_power_can_be_said_and_belongs_to_the_size(hqmd, trained_run, pairs, tmp_path) -> None:
    folder = shutil.copytree(trained_run / "best", tmp_path / "model")
    judged = ("--data", pairs, "--split", "val")
    assert hqmd("calibrate", folder, *judged, "--side", "32", "--size", "fast", "--power", "1.2").returncode == 0
    model = read_info(folder).model
    assert model.view.power == 1 and model.at_size("fast").view.power == 1.2
    refused = hqmd("calibrate", folder, *judged, "--power", "3")
    assert refused.returncode == 1 and "calibration_power must be near 1" in refused.stderr


def test_a_power_that_is_none() -> None:
    with pytest.raises(HqmdError, match="calibration_power"):
        ModelConfig().with_settings(calibration_power=0.1)


@pytest.mark.slow
def test_a_start_takes_its_calibration_along() -> None:
    """Exact where logits are logarithms: what is trained on begins where the calibrated one stood."""
    config = ModelConfig().with_settings(
        backbone="tf_efficientnet_lite0", activation="exp", size=(64, 96), calibration=0.8, calibration_power=1.1
    )
    network = build_system(config).eval()
    rgb = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(rgb)
        network.rescale(*config.depth_law(64))
        torch.testing.assert_close(network(rgb), 0.8 * before**1.1)
