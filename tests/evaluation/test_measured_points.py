"""`hqmd evaluate --points`: distances by tape, worked out by hand on made-up depth."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.measured_points import PointScores, measure_points, read_points
from hqmd_cli.geometry.camera import NYU_FX
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.inference.uncertainty import Uncertainty

WIDTH, HEIGHT = 64, 48
FX = NYU_FX / 10  # NYU's camera, at this size
MIDDLE = (WIDTH // 2, HEIGHT // 2)


def write_photos(folder: Path, names: list[str]) -> None:
    for name in names:
        Image.new("RGB", (WIDTH, HEIGHT), "gray").save(folder / name)


def points_file(folder: Path, *rows: str, head: str = "photo,x,y,metres") -> Path:
    path = folder / "measured.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def model_of(depth_m: float, sure: bool = False, follows_camera: bool = True) -> OpenModel:
    """A model that gives one depth everywhere but at the top left corner."""

    def predict(image: np.ndarray) -> np.ndarray:
        wall = np.full(image.shape[:2], depth_m, np.float32)
        wall[0, 0] = 9
        return wall

    error = Uncertainty(0.3, np.full((2, 2), 0.4, np.float32))
    surely = (lambda image: (predict(image), error)) if sure else None
    return OpenModel("wall", predict, "test", "fp32", str, follows_camera=follows_camera, surely=surely)


def scores_of(path: Path, model: OpenModel) -> PointScores:
    return PointScores(list(measure_points(read_points(path), model)))


def test_a_distance_is_straight_from_the_lens(tmp_path: Path) -> None:
    """Depth is along the optical axis, so a wall at 2 m is further off at the border."""
    write_photos(tmp_path, ["a.png"])
    ((photo,),) = [scores_of(points_file(tmp_path, "a.png,63,24,2.5"), model_of(2)).photos]
    aside = np.array([63 - (WIDTH - 1) / 2, 24 - (HEIGHT - 1) / 2]) / FX
    assert photo.points[0].predicted_m == pytest.approx(2 * np.sqrt(1 + (aside**2).sum()), rel=1e-6)


def test_figures_by_hand(tmp_path: Path) -> None:
    """Photo a is 10 % too far at one point; b a quarter too far and a quarter too near, so its shape is wrong."""
    write_photos(tmp_path, ["a.png", "b.png"])
    x, y = MIDDLE
    to_middle = np.sqrt(1 + 2 * (0.5 / FX) ** 2)  # the middle lies between four pixels
    measured = [2 * to_middle / ratio for ratio in (1.1, 1.25, 0.8)]
    places = [("a.png", x), ("b.png", x), ("b.png", x - 1)]
    rows = [f"{name},{x},{y},{float(metres)!r}" for (name, x), metres in zip(places, measured, strict=True)]
    scores = scores_of(points_file(tmp_path, *rows), model_of(2))
    assert scores.abs_rel.value == pytest.approx((0.1 + (0.25 + 0.2) / 2) / 2, rel=1e-5)
    assert scores.scale.value == pytest.approx(np.sqrt(1.1), rel=1e-5)
    assert scores.shape.value == pytest.approx(0.225, rel=1e-5)
    assert scores.abs_rel.low == pytest.approx(0.1, rel=1e-4) and scores.abs_rel.high == pytest.approx(0.225, rel=1e-4)


def test_the_camera_changes_the_metres_and_the_ray(tmp_path: Path) -> None:
    """Twice the focal length: twice the depth, for models that follow the camera, and a smaller angle."""
    write_photos(tmp_path, ["a.png"])
    path = points_file(tmp_path, f"a.png,63,24,2.5,{2 * FX}", head="photo,x,y,metres,fx")
    aside = np.array([63 - (WIDTH - 1) / 2, 24 - (HEIGHT - 1) / 2]) / (2 * FX)
    for follows, depth_m in ((True, 4), (False, 2)):
        ((photo,),) = [scores_of(path, model_of(2, follows_camera=follows)).photos]
        assert photo.points[0].predicted_m == pytest.approx(depth_m * np.sqrt(1 + (aside**2).sum()), rel=1e-4)
        assert "as given" in photo.camera


def test_the_error_joins_scale_shape_and_an_assumed_camera(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a.png"])
    ((photo,),) = [scores_of(points_file(tmp_path, "a.png,5,5,2"), model_of(2, sure=True)).photos]
    assert photo.points[0].error == pytest.approx(np.sqrt(0.3**2 + 0.12**2 + 0.4**2), rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "head", "complaint"),
    [
        (["a.png,1,2"], "photo,x,y,metres", "a.png,1,2: needs photo,x,y,metres"),
        (["a.png,1.5,2,3"], "photo,x,y,metres", "must be X,Y,METRES"),
        (["a.png,1,2,nan"], "photo,x,y,metres", "the distance is in metres"),
        (["a.png,1,2,-3"], "photo,x,y,metres", "the distance is in metres"),
        (["b.png,1,2,3"], "photo,x,y,metres", "there is no photo"),
        (["a.png,1,2,3", "a.png,2,2,3", "./a.png,1,2,3.1"], "photo,x,y,metres", "this pixel has a distance already"),
        (["a.png,1,2,3,x"], "photo,x,y,metres,fx", "'x' is not a focal length"),
        (["a.png,1,2,3"], "name,x,y,metres", "must begin with the line photo,x,y,metres"),
        ([], "photo,x,y,metres", "holds no point"),
    ],
)
def test_rows_that_are_none_are_refused(tmp_path: Path, rows: list[str], head: str, complaint: str) -> None:
    write_photos(tmp_path, ["a.png"])
    with pytest.raises(HqmdError, match="measured") as refused:
        read_points(points_file(tmp_path, *rows, head=head))
    assert complaint in str(refused.value)


def test_a_pixel_outside_and_a_model_without_metres_are_refused(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a.png"])
    path = points_file(tmp_path, "a.png,64,2,3")
    with pytest.raises(HqmdError, match=r"\(64, 2\) lies outside the photo, which is 64 x 48"):
        scores_of(path, model_of(2))
    relative = OpenModel("other", model_of(2).predict, "test", "fp32", str, kind="relative")
    with pytest.raises(HqmdError, match="gives no metres"):
        scores_of(path, relative)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_files_of_spreadsheets(tmp_path: Path, separator: str) -> None:
    write_photos(tmp_path, ["a.png"])
    rows = ["a.png,1,2,3", "", "a.png,4,5,6.5"]
    path = points_file(
        tmp_path, *(row.replace(",", separator) for row in rows), head=separator.join(["Photo", "X", "Y", "Metres"])
    )
    assert [tuple(point.reading.__dict__.values()) for point in read_points(path)] == [(1, 2, 3.0), (4, 5, 6.5)]


def test_the_command(tmp_path: Path, hqmd, trained_run) -> None:
    checkpoint = trained_run / "best"
    write_photos(tmp_path, ["a.png", "b.png"])
    path, picture = points_file(tmp_path, "a.png,5,5,2", "b.png,60,40,1.5", "b.png,1,1,3"), tmp_path / "points.png"
    done = hqmd("evaluate", "--points", path, "--model", checkpoint, "--picture", picture)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("a.png 5,5", "b.png 60,40", "AbsRel", "scale: predicted / measured"))
    assert "fewer than 5 photos" in " ".join(done.stdout.split()) and "NYU's, assumed" in done.stdout
    assert Image.open(picture).height > 600  # two panels
    again = hqmd("evaluate", "--points", path, "--model", checkpoint, "--picture", picture)
    assert again.returncode == 1 and "--overwrite" in again.stderr
    plain = json.loads(hqmd("evaluate", "--points", path, "--model", checkpoint, "--json").stdout)
    assert len(plain["points"]) == 3 and plain["points"][0]["x"] == 5 and plain["AbsRel"]["interval"]
    refused = hqmd("evaluate", "--points", path, "--model", checkpoint, "--split", "val")
    assert refused.returncode == 1 and "--split has no meaning with --points" in refused.stderr
    assert "goes with --points" in hqmd("evaluate", "--picture", picture).stderr
