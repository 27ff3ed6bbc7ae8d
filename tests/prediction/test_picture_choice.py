"""`--picture N`: which of several pictures in a file predict takes, and what it says and refuses."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli.api import LoadedModel
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.open import OpenModel

# Depth in metres is the mean of the photo by 100: 1 m for the first picture, 2 m for the second.
MODEL = """import numpy as np
def predict(rgb):
    ramp = np.linspace(0, 0.01, rgb.shape[0] * rgb.shape[1], dtype=np.float32).reshape(rgb.shape[:2])
    return ramp + rgb.mean() / np.float32(100)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a quick model and a TIFF of two pages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pages_model", raising=False)
    (tmp_path / "pages_model.py").write_text(MODEL)
    pages = [Image.new("RGB", (40, 24), (grey, grey, grey)) for grey in (100, 200)]
    pages[0].save("x.tif", save_all=True, append_images=pages[1:])
    return tmp_path


@pytest.fixture
def predict(hqmd):
    return lambda *args: hqmd("predict", *args, "--model", "py:pages_model:predict", "--model-kind", "depth")


def test_the_run_says_which_it_took_and_takes_another(here: Path, predict) -> None:
    first = predict("x.tif", "-o", "d.npy")
    assert first.returncode == 0, first.stderr
    assert "2 pictures in the file; the first is used; --picture N takes another" in first.stderr
    assert np.load("d.npy")[0, 0] == pytest.approx(1)
    second = predict("x.tif", "-o", "d.npy", "--picture", 2, "--overwrite")
    assert second.returncode == 0 and "picture 2 of 2 in the file" in second.stderr
    assert np.load("d.npy")[0, 0] == pytest.approx(2)


def test_a_number_that_is_not_there_is_refused_before_a_model_is_opened(here: Path, hqmd) -> None:
    refused = hqmd("predict", "x.tif", "-o", "d.npy", "--picture", 3, "--model", "py:no_such_module:predict")
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert "x.tif: cannot be read: the file holds 2 pictures, and no picture 3" in refused.stderr


def test_another_picture_is_another_result(here: Path, predict) -> None:
    """For --skip-existing; and of a folder each photo has its own pictures."""
    Path("in").mkdir()
    Path("x.tif").rename("in/x.tif")
    Image.new("RGB", (40, 24), "grey").save("in/one.png")
    run = ("in", "-o", "out", "--format", "npy", "--skip-existing")
    assert predict(*run).returncode == 0
    assert "2 left as they are" in predict(*run).stderr
    chosen = predict(*run, "--picture", 2)
    assert chosen.returncode == 1 and "1 written, 1 failed" in chosen.stderr
    assert "one.png: cannot be read: the file holds one picture, and no picture 2" in chosen.stderr
    assert np.load("out/x.npy")[0, 0] == pytest.approx(2)
    rows = [json.loads(line) for line in Path("out/manifest.jsonl").read_text().splitlines()]
    assert [row["settings"]["picture"] for row in rows] == [None, 2]


def test_a_video_has_frames_not_pictures(here: Path, predict) -> None:
    Path("x.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(12))
    for given in (["x.mp4", "-o", "y.mp4"], ["x.mp4", "x.tif", "-o", "out"]):
        refused = predict(*given, "--picture", 1)
        assert refused.returncode == 1 and "--picture: for photos only" in refused.stderr


def test_load_warns_and_takes_a_number(here: Path) -> None:
    model = LoadedModel(OpenModel("grey", lambda rgb: rgb[..., 0] / np.float32(100), "", "", str))
    with pytest.warns(UserWarning, match=r"x\.tif: 2 pictures in the file; the first is used; picture=N takes another"):
        assert model("x.tif")[0, 0] == 1
    with pytest.warns(UserWarning, match="picture 2 of 2"):
        assert model("x.tif", picture=2)[0, 0] == 2
    with warnings.catch_warnings(), Image.open("x.tif") as picture:
        warnings.simplefilter("error")
        picture.seek(1)
        assert model(picture)[0, 0] == 2
        with pytest.raises(HqmdError, match="picture: chooses one of several in a file"):
            model(picture, picture=2)
    with pytest.raises(HqmdError, match="and no picture 3"):
        model("x.tif", picture=3)
