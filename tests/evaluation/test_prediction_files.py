"""`hqmd evaluate --pred`: folders of predictions by any tool, scored like a model, or refused with the remedy."""

import json

import numpy as np
import pytest

from hqmd_cli.data import open_dataset

ALIGNING = 'name = "fitted"\nground_truth = "filled"\nalignment = "{}"\nclip_m = [0.1, 10.0]\nsource = "a test"\n'


@pytest.fixture
def truth(pairs):
    """Name -> (H, W) metres of the val pictures."""
    data = open_dataset(pairs, "val")
    return {data[i].name: data[i].depth_m for i in range(len(data))}


def written(folder, maps):
    folder.mkdir()
    for name, values in maps.items():
        np.save(folder / f"{name}.npy", values.astype(np.float32))
    return folder


@pytest.fixture
def judge(hqmd, pairs):
    return lambda folder, *flags: hqmd("evaluate", "--data", pairs, "--split", "val", "--pred", folder, *flags)


def test_files_have_the_figures_that_a_model_with_their_depth_would_have(judge, truth, tmp_path):
    result = judge(written(tmp_path / "maps", {name: 1.1 * z for name, z in truth.items()}), "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["model"] == "maps" and figures["n"] == len(truth)
    assert figures["metrics"]["AbsRel"] == pytest.approx(0.1, abs=1e-4)
    assert figures["metrics"]["bias"] == pytest.approx(1.1, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "flags", "said"),
    [
        (lambda z: 1 / z, (), "--pred-kind disparity"),  # the unit is open already
        (lambda z: 1 / z, ("--pred-scale", "1"), "these look like disparities; pass --pred-kind disparity"),
        (lambda z: 1000 * z, ("--pred-scale", "1"), "--pred-scale 1000"),
        (lambda z: z[:, ::-1], (), None),  # two floors look the same mirrored: nothing to find, so scored
        (lambda z: np.where(z > 2, np.nan, z), (), "NaN"),
        (lambda z: z[::2, ::2], (), "--pred-resize bilinear"),
        (lambda z: np.full_like(z, 2), (), "everywhere"),
        (lambda z: 1 / z, ("--pred-kind", "disparity"), "claim no metres"),
        (lambda z: z, ("--flip",), "as they are"),
        (lambda z: z, ("--pred-kind", "metres"), "there are: depth, disparity, relative"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_remedy(judge, truth, tmp_path, change, flags, said):
    result = judge(written(tmp_path / "maps", {name: change(z) for name, z in truth.items()}), *flags)
    if said is None:
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 1 and said in result.stderr and not result.stdout


@pytest.mark.parametrize(
    ("kind", "alignment", "change"),
    [
        ("disparity", "scale-shift-disparity", lambda z: 7 / z + 3),
        ("relative", "scale-shift-depth", lambda z: (z - 1) / 20),
    ],
)
def test_what_claims_no_metres_is_fitted_first(judge, truth, tmp_path, kind, alignment, change):
    protocol = tmp_path / "fitted.toml"
    protocol.write_text(ALIGNING.format(alignment))
    folder = written(tmp_path / "maps", {name: change(z) for name, z in truth.items()})
    result = judge(folder, "--pred-kind", kind, "--protocol", protocol, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["metrics"]["AbsRel"] == pytest.approx(0, abs=1e-4)


def test_a_folder_without_the_pictures(judge, tmp_path):
    (tmp_path / "maps").mkdir()
    assert "it is empty" in judge(tmp_path / "maps").stderr


def test_what_looks_wrong_is_scored_only_when_asked_and_said(judge, truth, tmp_path):
    folder = written(tmp_path / "maps", {name: 1000 * z for name, z in truth.items()})
    assert "--pred-anyway" in judge(folder, "--pred-scale", "1").stderr
    result = judge(folder, "--pred-scale", "1", "--pred-anyway", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert "scored although the median of prediction / truth is 1000" in figures["remark"]
    assert figures["metrics"]["AbsRel"] == pytest.approx(999, rel=1e-3)


def test_a_folder_under_every_protocol(judge, truth, tmp_path):
    """Protocols that these small pictures do not fit are named, the rest have a row."""
    folder = written(tmp_path / "maps", {name: 1.1 * z for name, z in truth.items()})
    result = judge(folder, "--protocol", "all", "--json")
    shown = {row["protocol"]: row["metrics"]["AbsRel"] for row in json.loads(result.stdout)}
    assert shown == pytest.approx({"hqmd": 0.1, "fcrn": 0.1}, abs=1e-3)
    assert "without protocol eigen-filled" in result.stderr


def test_a_folder_beside_another(hqmd, pairs, truth, tmp_path):
    near, far = (
        written(tmp_path / name, {picture: factor * z for picture, z in truth.items()})
        for name, factor in (("near", 0.9), ("far", 1.2))
    )
    table = tmp_path / "table.json"
    result = hqmd("compare", "--data", pairs, "--split", "val", "--pred", near, "--pred", far, "-o", table)
    assert result.returncode == 0, result.stderr
    pair = next(pair for pair in json.loads(table.read_text())["pairs"] if pair["metric"] == "AbsRel")
    assert (pair["first"], pair["second"]) == ("near", "far")
    assert pair["difference"] == pytest.approx(-0.1, abs=1e-4) and pair["won"] == 1
    assert "named twice" in hqmd("compare", "--data", pairs, "--pred", near, "--pred", near).stderr
    assert "nothing to compare" in hqmd("compare", "--data", pairs).stderr
