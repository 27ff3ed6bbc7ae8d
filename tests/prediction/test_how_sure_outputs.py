"""How sure a prediction is, in files, on the last line, in records and in Python; and refused where nobody knows."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hqmd_cli.api import load
from hqmd_cli.checkpoints.checkpoint import read_info, record_model
from hqmd_cli.errors import HqmdError
from hqmd_cli.geometry.camera import ASSUMED_FOCAL_ERROR, find_intrinsics
from hqmd_cli.inference.uncertainty import Uncertainty
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.prediction.photo_job import write_output
from hqmd_cli.prediction.result import DepthResult, Style

SIZE = (24, 32)
ERRORS = {"scale_error": (0.1, 0, 0, 0), "shape_error": (0.1, 0, 0, 0, 0.2, 0, 0)}


@pytest.fixture
def result() -> DepthResult:
    """A wall at 2 m whose error grows from left to right, from 5 to 35 %."""
    errors = np.linspace(0.05, 0.35, SIZE[1], dtype=np.float32)[None].repeat(SIZE[0], axis=0)
    image, depth_m = np.zeros((*SIZE, 3), np.uint8), np.full(SIZE, 2, np.float32)
    return DepthResult(image, depth_m, find_intrinsics(*SIZE, fx=30), 2, 2, uncertainty=Uncertainty(0.18, errors))


@pytest.fixture(scope="module")
def sure_model(trained_run, tmp_path_factory) -> Path:
    folder = shutil.copytree(trained_run / "best", tmp_path_factory.mktemp("sure") / "model")
    model = read_info(folder).model
    record_model(folder, model.with_view("default", replace(model.view, **ERRORS)))
    return folder


def test_files_hold_the_error_of_each_pixel(result, tmp_path) -> None:
    said = write_output(OUTPUTS["uncertainty"], tmp_path / "a.uncertainty.png", result, Style())
    write_output(OUTPUTS["uncertainty-npy"], tmp_path / "a.uncertainty.npy", result, Style())
    exact = np.load(tmp_path / "a.uncertainty.npy")
    np.testing.assert_array_equal(exact, result.shape_error)
    with Image.open(tmp_path / "a.uncertainty.png") as picture:
        assert np.abs(np.asarray(picture) / 10_000 - exact).max() <= 0.00005 + 1e-6
        assert "1 = 0.01 %" in picture.info["Description"] and "18%" in picture.info["Description"]
    assert "18%" in said


def test_an_error_beyond_16_bits_is_said(result, tmp_path) -> None:
    wild = result._replace(uncertainty=Uncertainty(0.1, np.full(SIZE, 7, np.float32)))
    assert "100.0% of the pixels" in write_output(OUTPUTS["uncertainty"], tmp_path / "a.uncertainty.png", wild, Style())
    with Image.open(tmp_path / "a.uncertainty.png") as picture:
        assert (np.asarray(picture) == 65535).all()


@pytest.mark.parametrize("kind", ["ply", "glb"])
def test_points_that_are_too_unsure_are_dropped(kind, result, tmp_path) -> None:
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / f"a.{kind}"
    said = write_output(OUTPUTS[kind], path, result, Style(max_uncertainty=0.2))
    points = trimesh.load(path, force="mesh" if kind == "glb" else None).vertices
    kept = int((result.shape_error[0] <= 0.2).sum())
    assert len(points) == kept * SIZE[0] and "above 20%" in said
    assert points[:, 0].max() < 0.1  # the left half
    with pytest.raises(HqmdError, match=r"no point is left with --max-uncertainty 0.01; the surest has 0.05"):
        write_output(OUTPUTS[kind], path, result, Style(max_uncertainty=0.01))


def test_the_last_line_and_the_record_say_it(hqmd, sure_model, photo, tmp_path) -> None:
    target = tmp_path / "d.uncertainty.npy"
    done = hqmd("predict", photo, "-o", target, "--json", "--model", sure_model, "--fx", "90")
    assert done.returncode == 0 and done.stderr.splitlines()[-1].startswith("depth in metres +-10 %, ")
    assert json.loads((tmp_path / "d.json").read_text())["scale_uncertainty"] == pytest.approx(0.1)
    assert np.load(target).shape == (80, 96)
    assumed = hqmd("predict", photo, "-o", tmp_path / "e.npy", "--model", sure_model).stderr.splitlines()[-1]
    assert f"+-{100 * np.hypot(0.1, ASSUMED_FOCAL_ERROR):.0f} %" in assumed


def test_a_measured_distance_leaves_the_error_of_the_shape_at_its_pixel(hqmd, sure_model, photo, tmp_path) -> None:
    target = tmp_path / "d.uncertainty.npy"
    hqmd("predict", photo, "-o", target, "--json", "--model", sure_model, "--scale-from", "40,0,2")
    scale = json.loads((tmp_path / "d.json").read_text())["scale_uncertainty"]
    assert scale == pytest.approx(float(np.load(target)[0, 40])) and scale > 0.2


def test_several_photos_have_a_range_and_a_folder_keeps_it(hqmd, sure_model, photo, tmp_path) -> None:
    shutil.copy(photo, tmp_path / "a.png")
    shutil.copy(photo, tmp_path / "b.png")
    given = ("predict", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "out", "--model", sure_model)
    done = hqmd(*given, "--format", "uncertainty,npy", "--fx", "90")
    assert done.stderr.splitlines()[-1].startswith("depth in metres +-10 %, ")
    again = hqmd(*given, "--format", "uncertainty,npy", "--fx", "90", "--skip-existing")
    assert "2 left as they are" in again.stderr


@pytest.mark.parametrize("asked", [["-o", "d.uncertainty.png"], ["-o", "d.ply", "--max-uncertainty", "0.2"]])
def test_a_model_that_does_not_know_is_asked_in_vain(asked, hqmd, trained_run, photo, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = hqmd("predict", photo, *asked, "--model", trained_run / "best")
    assert done.returncode == 1 and "does not know how sure it is; `hqmd calibrate`" in done.stderr
    plain = hqmd("predict", photo, "-o", "d.npy", "--json", "--model", trained_run / "best")
    assert plain.stderr.splitlines()[-1].startswith("depth in metres, ")
    assert json.loads((tmp_path / "d.json").read_text())["scale_uncertainty"] is None
    with pytest.raises(HqmdError, match="does not know how sure it is"):
        load(str(trained_run / "best")).with_uncertainty(photo)


def test_a_limit_that_nothing_uses_is_refused(hqmd, sure_model, photo, tmp_path) -> None:
    done = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--max-uncertainty", "0.2", "--model", sure_model)
    assert done.returncode == 1 and "drops points of .ply, .glb" in done.stderr
    with pytest.raises(HqmdError, match="must be positive"):
        Style(max_uncertainty=0)


def test_a_result_of_an_hqmd_without_the_limit_is_kept(hqmd, trained_run, photo, tmp_path) -> None:
    given = ("predict", photo, "-o", tmp_path / "d.npy", "--json", "--model", trained_run / "best", "--skip-existing")
    hqmd(*given)
    record = tmp_path / "d.json"
    values = json.loads(record.read_text())
    assert values["settings"]["look"].pop("max_uncertainty") is None and values.pop("scale_uncertainty") is None
    record.write_text(json.dumps(values))
    before = (tmp_path / "d.npy").stat().st_mtime_ns
    assert hqmd(*given).returncode == 0 and (tmp_path / "d.npy").stat().st_mtime_ns == before


def test_nobody_knows_of_a_video(hqmd, sure_model, photo, tmp_path) -> None:
    """Its photos are done, and it is refused; a frame of another kind claims nothing."""
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(photo, folder / "a.png")
    clip = cv2.VideoWriter(str(folder / "b.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (96, 80))
    clip.write(cv2.imread(str(photo)))
    clip.release()
    asked = ("predict", folder, "--model", sure_model, "-o", tmp_path / "out", "--format")
    done = hqmd(*asked, "uncertainty")
    assert done.returncode == 1 and "b.mp4: uncertainty is known for photos only" in done.stderr
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["a.uncertainty.png"]
    frames = hqmd(*asked, "npy")
    assert frames.returncode == 0 and frames.stderr.splitlines()[-1].startswith("depth in metres, ")
    rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert {row["place"]: row["scale_uncertainty"] is None for row in rows if "scale_uncertainty" in row} == {
        "a.png": False,
        "b/000001.mp4": True,
    }


def test_python_gets_both_errors(sure_model, photo) -> None:
    model = load(str(sure_model))
    sure = model.with_uncertainty(photo, fx=90)
    np.testing.assert_array_equal(sure.depth_m, model(photo, fx=90))
    assert sure.scale_error == pytest.approx(0.1) and sure.shape_error.shape == sure.depth_m.shape
    assert sure.shape_error[0, 40] > 0.2 and sure.shape_error[-1, 40] == pytest.approx(0.1, abs=1e-6)
