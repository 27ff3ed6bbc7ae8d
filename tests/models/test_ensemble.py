"""Several networks as one, and runs that go on from a model."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from hqmd_cli.checkpoints.checkpoint import load_checkpoint, read_info, record_model, save_checkpoint
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.checkpoints.merge import merge_checkpoints
from hqmd_cli.checkpoints.weights import load_weights, start_weights
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.errors import HqmdError
from hqmd_cli.models import build_model
from hqmd_cli.models.layers import resize
from hqmd_cli.training.loop import fit
from hqmd_cli.units import DIGITS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def other(tmp_path_factory, trained_run):
    """A second checkpoint: another backbone and other weights than those of trained_run."""
    folder = tmp_path_factory.mktemp("other") / "second"
    info = load_checkpoint(trained_run / "best", CPU)[1]
    model = info.model.with_settings(backbone="test_resnet")
    torch.manual_seed(3)
    save_checkpoint(folder, build_model(model), CheckpointInfo(model, TrainConfig(), "other data"))
    return folder


def test_a_merged_model_is_the_geometric_mean_of_its_members(hqmd, trained_run, other, tmp_path):
    folder = tmp_path / "both"
    result = hqmd("merge", trained_run / "best", other, "-o", folder)
    assert result.returncode == 0, result.stderr
    rgb = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    both, info = load_checkpoint(folder, CPU)
    with torch.no_grad():
        first, second = (load_checkpoint(place, CPU)[0](rgb) for place in (trained_run / "best", other))
        assert (first - second).abs().max() > 0.01  # else a mean of the two would prove nothing
        torch.testing.assert_close(both(rgb), (first * second).sqrt())
    assert [member.network.backbone for member in info.model.members] == ["test_efficientnet", "test_resnet"]
    assert "other data" in info.data and not info.figures  # its members' figures are not its own


@pytest.mark.slow
def test_merging_a_merged_model_weighs_every_network_alike(trained_run, other, tmp_path):
    merge_checkpoints([trained_run / "best", other], tmp_path / "two")
    merge_checkpoints([tmp_path / "two", other], tmp_path / "three")
    rgb = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = (load_checkpoint(place, CPU)[0](rgb) for place in (trained_run / "best", other))
        three = load_checkpoint(tmp_path / "three", CPU)[0](rgb)
    torch.testing.assert_close(three, (first * second * second) ** (1 / 3))


def test_a_merged_model_is_calibrated_as_its_members_were(trained_run, other, tmp_path):
    """The geometric mean of what each is multiplied by; and nobody's note on licences is lost."""
    for name, source, calibration in (("one", trained_run / "best", 0.9), ("two", other, 1.1)):
        network, info = load_checkpoint(source, CPU)
        model = info.model.with_settings(
            calibration=calibration, calibration_power=calibration + 0.1, scale_error=(0.1,) * 4, shape_error=(0.1,) * 7
        )
        save_checkpoint(tmp_path / name, network, dataclasses.replace(info, model=model, note=f"licence of {name}"))
    merge_checkpoints([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    merged = read_info(tmp_path / "both")
    assert merged.model.view.calibration == pytest.approx((0.9 * 1.1) ** 0.5, abs=1e-4)
    assert merged.model.view.power == pytest.approx(1.1)
    assert [(member.view.calibration, member.view.power) for member in merged.model.others] == [(1.0, 1.0)]
    assert not any(member.view.errors for member in merged.model.members)  # measured of each alone
    assert "licence of one" in merged.note and "licence of two" in merged.note


@pytest.mark.slow
def test_networks_of_other_scales_merge_at_the_first_ones(hqmd, trained_run, other, photo, tmp_path):
    """One trained at twice the size: merged, both still say what each would alone, at whatever side."""
    larger = tmp_path / "larger"
    shutil.copytree(other, larger)
    config = json.loads((larger / "config.json").read_text())
    config["model"]["size"] = [96, 128]
    (larger / "config.json").write_text(json.dumps(config))
    merge_checkpoints([trained_run / "best", larger], tmp_path / "both")
    depths_m = {}
    for name in (shutil.copytree(trained_run / "best", tmp_path / "one"), larger, tmp_path / "both"):
        record_model(name, read_info(name).model.with_settings(predict_sides=(64,)))
        result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", name, "--overwrite")
        assert result.returncode == 0, result.stderr
        depths_m[name] = np.load(tmp_path / "d.npy")
    one, two, both = depths_m.values()
    np.testing.assert_allclose(both, np.sqrt(one * two), rtol=2e-3)


@pytest.mark.slow
def test_members_that_say_depth_at_other_pixels_are_brought_to_the_first_ones(trained_run, other, tmp_path):
    places = {"one": (trained_run / "best", 4), "two": (other, 2)}
    for name, (source, stride) in places.items():
        network, info = load_checkpoint(source, CPU)
        model = info.model.with_settings(depth_stride=stride)
        save_checkpoint(tmp_path / name, network, dataclasses.replace(info, model=model))
    merge_checkpoints([tmp_path / "one", tmp_path / "two"], tmp_path / "both")
    rgb = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        both, first, second = (load_checkpoint(tmp_path / name, CPU)[0](rgb) for name in ("both", "one", "two"))
    assert first.shape[-2:] == (16, 24) and second.shape[-2:] == (32, 48)
    torch.testing.assert_close(both, (first * resize(second, (16, 24))).sqrt())


def test_a_member_may_see_the_picture_smaller(hqmd, trained_run, other, tmp_path):
    """At 75 percent, rounded to its multiples of 8: what it says there, at the committee's scale and size."""
    network, info = load_checkpoint(other, CPU)
    stepped = info.model.with_settings(size_multiple=8)
    save_checkpoint(tmp_path / "stepped", network, dataclasses.replace(info, model=stepped))
    result = hqmd("merge", trained_run / "best", tmp_path / "stepped", "-o", tmp_path / "both", "--views", "100,75")
    assert result.returncode == 0, result.stderr
    both = load_checkpoint(tmp_path / "both", CPU)[0]
    rgb = torch.rand(1, 3, 64, 90, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = load_checkpoint(trained_run / "best", CPU)[0](rgb)
        second = resize(network(resize(rgb, (48, 64))), (64, 90)) * (48 / 64)  # 67.5 is nearest to 64
        torch.testing.assert_close(both(rgb), (first * second).sqrt())


@pytest.mark.slow
def test_members_count_by_their_weights(hqmd, trained_run, other, tmp_path):
    result = hqmd("merge", trained_run / "best", other, "-o", tmp_path / "both", "--weights", "2,1")
    assert result.returncode == 0, result.stderr
    rgb = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = (load_checkpoint(place, CPU)[0](rgb) for place in (trained_run / "best", other))
        both = load_checkpoint(tmp_path / "both", CPU)[0](rgb)
    torch.testing.assert_close(both, (first * first * second) ** (1 / 3))
    refused = hqmd("merge", trained_run / "best", other, "-o", tmp_path / "x", "--weights", "2")
    assert refused.returncode == 1 and "one for each model" in refused.stderr


def test_the_mean_of_two_networks_weights_is_one_network(hqmd, trained_run, tmp_path):
    first, second = trained_run / "best", tmp_path / "second"
    network, info = load_checkpoint(first, CPU)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.add_(1)
    save_checkpoint(second, network, dataclasses.replace(info, data="near pairs"))
    result = hqmd("merge", first, second, "-o", tmp_path / "mean", "--average-weights", "--weights", "3,1")
    assert result.returncode == 0, result.stderr
    mean, of_mean = load_checkpoint(tmp_path / "mean", CPU)
    before = load_checkpoint(first, CPU)[0].state_dict()
    for name, tensor in mean.state_dict().items():
        moved = 0.25 if tensor.is_floating_point() else 0  # counters are the first network's
        torch.testing.assert_close(tensor, before[name] + moved, rtol=1e-5, atol=1e-5)
    assert "near pairs" in of_mean.data and not of_mean.figures and not of_mean.model.view.is_calibrated
    assert of_mean.model.network == info.model.network


def test_weights_of_two_kinds_of_network_have_no_mean(hqmd, trained_run, other, tmp_path):
    for flags, reason in (
        ((), "other layers"),
        (("--views", "100,86"), "--views"),
        (("--weights", "1"), "one above 0"),
    ):
        result = hqmd("merge", trained_run / "best", other, "-o", tmp_path / "mean", "--average-weights", *flags)
        assert result.returncode == 1 and reason in result.stderr and not (tmp_path / "mean").exists()


@pytest.mark.parametrize("views", ["100", "86,100", "100,a", "100,5", "100,86.5"])
def test_views_that_are_none(hqmd, trained_run, other, tmp_path, views):
    result = hqmd("merge", trained_run / "best", other, "-o", tmp_path / "both", "--views", views)
    assert result.returncode != 0 and "view" in result.stderr and not (tmp_path / "both").exists()


def test_merge_refuses_one_model_and_an_existing_folder(hqmd, trained_run, other, tmp_path):
    assert "two models" in hqmd("merge", other, "-o", tmp_path / "one").stderr
    (tmp_path / "there").mkdir()
    assert "exists already" in hqmd("merge", trained_run / "best", other, "-o", tmp_path / "there").stderr


def test_a_committee_is_not_trained(pairs, tmp_path):
    model = ModelConfig(others=(ModelConfig(),))
    with pytest.raises(HqmdError, match="merge"):
        next(fit(model, TrainConfig(), *open_training_data(pairs), tmp_path / "run", backbone_weights="none"))


def test_record_writes_the_figures_of_this_very_measurement(hqmd, other, pairs, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(other, folder)
    flags = ("evaluate", "--model", folder, "--data", pairs, "--split", "val")
    result = hqmd(*flags, "--record", "--json")
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    kept = json.loads((folder / "config.json").read_text())["figures"]
    assert kept["metrics"]["RMSE"] == pytest.approx(measured["metrics"]["RMSE"]) and kept["n"] == 2
    assert f"{kept['metrics']['RMSE']:.{DIGITS}f}" in (folder / "README.md").read_text()
    assert "--record" in hqmd(*flags, "--record", "--flip").stderr


@pytest.mark.slow
def test_a_run_starts_from_another_models_weights(hqmd, trained_run, pairs, tmp_path):
    """With a learning rate of nearly nothing, the weights after a step are those of the start."""
    recipe = tmp_path / "recipe.toml"
    model = load_checkpoint(trained_run / "best", CPU)[1].model
    recipe.write_text(
        f'[model]\nbackbone = "{model.network.backbone}"\nsize = [48, 64]\noutput_stride = 32\naspp_channels = 16\n'
        "fuse_channels = 16\n[training]\nlr = 1e-12\nbatch_size = 2\nmax_steps = 1\n"
    )
    flags = ("train", "--data", pairs, "--recipe", recipe, "--workers", "0", "--start", trained_run / "best")
    result = hqmd(*flags, "-o", tmp_path / "on")
    assert result.returncode == 0, result.stderr
    before = load_checkpoint(trained_run / "best", CPU)[0].state_dict()
    after, info = load_checkpoint(tmp_path / "on" / "last", CPU)
    for name, tensor in after.named_parameters():
        np.testing.assert_allclose(tensor.detach(), before[name], atol=1e-6)
    assert info.backbone_weights.startswith("run/best, which had learned from pairs, train")


@pytest.mark.slow
def test_layers_of_another_size_begin_anew_and_are_named(hqmd, trained_run, pairs, tmp_path):
    recipe = tmp_path / "recipe.toml"
    model = load_checkpoint(trained_run / "best", CPU)[1].model
    low = model.network.low_channels // 2
    recipe.write_text(
        f'[model]\nbackbone = "{model.network.backbone}"\nsize = [48, 64]\noutput_stride = 32\naspp_channels = 16\n'
        f"fuse_channels = 16\nlow_channels = {low}\n"
        "[training]\nlr = 1e-12\nbatch_size = 2\nmax_steps = 1\n"
    )
    flags = ("train", "--data", pairs, "--recipe", recipe, "--workers", "0", "--start", trained_run / "best")
    refused = hqmd(*flags, "-o", tmp_path / "on")
    assert refused.returncode == 1 and not (tmp_path / "on").exists()
    assert f"low_channels {2 * low} there, {low} here), so 3 layers" in refused.stderr
    other = hqmd(*flags, "--backbone", "test_resnet", "-o", tmp_path / "on")
    assert "backbone test_efficientnet there, test_resnet here" in other.stderr and "take its --recipe" in other.stderr
    result = hqmd(*flags, "--new-layers", "-o", tmp_path / "on")
    assert result.returncode == 0, result.stderr
    new = ("decoder.fusion.fuse.0.0", "decoder.fusion.narrow.0", "decoder.fusion.narrow.1")
    assert f"another size than in --start, so these layers start untrained: {', '.join(new)}\n" in result.stderr
    before = load_checkpoint(trained_run / "best", CPU)[0].state_dict()
    for name, tensor in load_checkpoint(tmp_path / "on" / "last", CPU)[0].named_parameters():
        if name.rpartition(".")[0] not in new:
            np.testing.assert_allclose(tensor.detach(), before[name], atol=1e-6)


def test_weights_of_another_network_are_no_start(trained_run, other):
    network, info = load_checkpoint(trained_run / "best", CPU)
    with pytest.raises(HqmdError, match="do not match"):
        load_weights(network, other)
    another = build_model(info.model.with_settings(backbone="test_resnet"))
    with pytest.raises(HqmdError, match=r"do not match the network's settings, such as backbone\."):
        start_weights(another, trained_run / "best")


@pytest.mark.slow
def test_a_merged_model_runs_on_onnx_runtime(hqmd, trained_run, other, photo, tmp_path):
    """Its model.onnx reads the weights of both networks from the one model.safetensors beside it."""
    merge_checkpoints([trained_run / "best", other], tmp_path / "both", (100, 86))
    result = hqmd("export", tmp_path / "both", "-o", tmp_path / "kept", "--note", __file__)
    assert result.returncode == 0, result.stderr  # which means: compared to torch
    assert (tmp_path / "kept" / "model.onnx").stat().st_size < (tmp_path / "kept" / "model.safetensors").stat().st_size
    assert hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", tmp_path / "kept").returncode == 0
    assert "Several networks as one" in (tmp_path / "kept" / "README.md").read_text()
