"""look.html: what is in the file, and what is not. tests/page/ opens it in a browser."""

import base64
import json
import os
import re
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from conftest import scene
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import read_photo
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.inference.uncertainty import Uncertainty
from hqmd_cli.page.build import FOLDER, MODULES, START, script
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.prediction.result import DepthResult, Style
from hqmd_cli.prediction.writers.look import encode_look, fitted, metadata, shown_name
from hqmd_cli.visualization import COLORMAPS
from hqmd_cli.visualization.colormap import colours_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "coffee.jpg"


def result_of(image: np.ndarray, depth_m: np.ndarray, **more: object) -> DepthResult:
    camera = find_intrinsics(*depth_m.shape)
    ends = float(depth_m.min()), float(depth_m.max())
    return DepthResult(image, depth_m, camera, *ends, **{"photo": "a.jpg", "model": "m", **more})


@pytest.fixture
def result() -> DepthResult:
    return result_of(*scene(3, (48, 64)), uncertainty=Uncertainty(0.2, np.full((12, 16), 0.1, np.float32)))


def page_of(result: DepthResult, style: Style | None = None) -> str:
    content, _ = encode_look(Path("look.html"), result, style or Style())
    return bytes(content).decode()


def meta_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="meta">(.*?)</script>', page)[1])


def embedded(page: str, start: str) -> bytes:
    """The bytes of the data: address behind `start`."""
    return base64.b64decode(re.search(re.escape(start) + r'"data:image/\w+;base64,([\w+/=]+)"', page)[1])


def test_the_depth_in_it_is_the_millimetre_file(result: DepthResult) -> None:
    page = page_of(result)
    expected, _ = OUTPUTS["mm"].encode(Path("a.mm.png"), result, Style())
    assert embedded(page, '<a id="depth" class="button" href=') == expected
    assert 'download="a.mm.png"' in page


def test_unit_camera_and_model_are_on_it(result: DepthResult) -> None:
    page = page_of(result, Style(colormap="turbo", near_m=1, far_m=5))
    without_script = page.split("<script")[0]
    for said in ("metres", result.intrinsics.origin, "<dt>model</dt><dd>m</dd>"):
        assert said in without_script
    meta = meta_of(page)
    assert meta["camera"] == {"fx": 51.886, "fy": 51.886, "cx": 31.5, "cy": 23.5, "is_known": False} | {
        "origin": result.intrinsics.origin
    }
    assert (meta["colormap"], meta["range"], meta["scale_error"]) == ("turbo", [1, 5], 0.2)
    assert (meta["near"], meta["far"]) == pytest.approx((result.near, result.far))


def test_every_colormap_is_in_it(result: DepthResult) -> None:
    tables = meta_of(page_of(result))["colormaps"]
    assert list(tables) == list(COLORMAPS)
    for name, table in tables.items():
        assert base64.b64decode(table) == colours_of(name).tobytes()


@pytest.mark.parametrize("kind", ["disparity", "relative"])
def test_no_metres_without_metres(kind: str) -> None:
    """The far end of a disparity is its smaller one; numbers come back within a 65,535th of the span."""
    image, values = scene(3, (48, 64))
    values -= 3  # may be negative
    near, far = (values.max(), values.min()) if kind == "disparity" else (values.min(), values.max())
    result = result_of(image, values, kind=kind)._replace(near=float(near), far=float(far))
    page = page_of(result)
    assert f'download="a.{kind}.png"' in page and ".mm.png" not in page.split("<script")[0]
    assert "no metres" in meta_of(page)["unit"]
    numbers = np.asarray(Image.open(BytesIO(embedded(page, '<a id="depth" class="button" href=')))).astype(float)
    code = meta_of(page)["encoding"]
    assert code["no_depth"] is None
    np.testing.assert_allclose(code["offset"] + numbers / code["per_unit"], values, atol=np.ptp(values) / 65535)


def test_depth_beyond_16_bits_is_cut_and_said() -> None:
    image, depth_m = scene(3, (48, 64))
    depth_m[:24] = 80
    content, said = encode_look(Path("look.html"), result_of(image, depth_m), Style())
    assert said.startswith("50.0% of the pixels are farther than 65.535 m, which it shows as that; fx ")
    assert meta_of(bytes(content).decode())["encoding"]["is_cut"]


def test_names_with_markup_are_text(result: DepthResult) -> None:
    evil = "</script><img src=x onerror=alert(1)>.jpg"
    page = page_of(result._replace(photo=evil, model=evil, remarks=(evil,)))
    assert "<img src=x" not in page and meta_of(page)["photo"] == evil


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("hqmd-indoor", "hqmd-indoor"),
        ("org/name@main", "org/name@main"),
        ("runs/best", "runs/best"),
        ("/home/alice/runs/best/", "best"),
        ("~/best", "best"),
        ("../alice/best", "best"),
        (r"C:\Users\alice\best", "best"),
        ("hf:org/name", "hf:org/name"),
    ],
)
def test_a_models_name_has_no_folders_of_this_machine(model: str, shown: str) -> None:
    assert shown_name(model) == shown


def private_photo(path: Path) -> Path:
    """A photo with a place, a serial number, a comment and a thumbnail, taken at 26 mm."""
    picture = Image.fromarray(scene(4, (96, 128))[0])
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.BodySerialNumber] = "SecretMaker", "SERIAL-4711"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {ExifTags.Base.FocalLengthIn35mmFilm: 26, ExifTags.Base.ExifImageWidth: 128, ExifTags.Base.ExifImageHeight: 96}
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 31.0, 12.0), 29: "2026:11:30"})
    picture.save(path, exif=exif, comment="SECRET-COMMENT", quality=90)
    return path


def test_nothing_of_the_photos_metadata_and_no_path_is_in_it(hqmd, trained_run, tmp_path: Path) -> None:
    """But its focal length counts."""
    photo = private_photo(tmp_path / "private.jpg")
    assert b"SERIAL-4711" in photo.read_bytes() and read_photo(photo).focal_35mm == 26
    model = trained_run / "best"
    done = hqmd("predict", photo, "-o", tmp_path / "look.html", "-o", tmp_path / "a.glb", "--model", model)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "look.html").read_text("utf-8")
    assert "26 mm, from the photo" in meta_of(page)["camera"]["origin"]
    for content in (page.encode(), embedded(page, '<img id="photo" src='), (tmp_path / "a.glb").read_bytes()):
        for secret in (b"SERIAL-4711", b"SecretMaker", b"SECRET-COMMENT", b"Exif\0\0", str(tmp_path).encode()):
            assert secret not in content
    assert meta_of(page)["photo"] == "private.jpg" and meta_of(page)["model"] == "best"


def test_the_size_of_the_file(hqmd, trained_run, tmp_path: Path) -> None:
    """At most 3 times photo and .mm.png, and 300 kB of code."""
    photo = shutil.copy(EXAMPLE, tmp_path)
    model = trained_run / "best"
    assert (
        hqmd("predict", photo, "-o", tmp_path / "a.html", "-o", tmp_path / "a.mm.png", "--model", model).returncode == 0
    )
    parts = Path(photo).stat().st_size + (tmp_path / "a.mm.png").stat().st_size
    assert (tmp_path / "a.html").stat().st_size <= 3 * parts + 300_000
    assert len(script()) + (FOLDER / "viewer.css").stat().st_size < 100_000


def test_a_large_photo_is_shown_smaller_and_said() -> None:
    result = result_of(
        np.zeros((20, 5000, 3), np.uint8), np.linspace(1, 2, 100_000, dtype=np.float32).reshape(20, 5000)
    )
    content, said = encode_look(Path("look.html"), result, Style())
    assert said.startswith("the photo in it is 4096 x 16; ")
    assert meta_of(bytes(content).decode())["size"] == [20, 5000]
    assert fitted(result.image, 5000) is result.image


def test_modules_are_one_script() -> None:
    """Every file is in it, and no name is given twice, which would be an error in one script only."""
    assert {path.name for path in FOLDER.glob("*.js")} == {*MODULES, START, "serve.js"}  # the served page's own
    whole = script()
    assert not re.search(r"^(import|export) ", whole, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:const|let|class|function) (\w+)", whole, re.MULTILINE)
    assert len(names) == len(set(names)) > 50
    for name in (*MODULES, START):
        for line in (FOLDER / name).read_text("utf-8").splitlines():
            if line.startswith("import "):
                assert MODULES.index(re.search(r'"\./(.*)"', line)[1]) < (*MODULES, START).index(name)


def test_metadata_is_plain(result: DepthResult) -> None:
    json.dumps(metadata(result, Style()), allow_nan=False)
    assert metadata(result._replace(uncertainty=None), Style())["shape_error"] is None


def test_a_range_of_colours_that_cannot_be(result: DepthResult) -> None:
    with pytest.raises(HqmdError, match=r"look\.html: no colours from 50 to"):
        encode_look(Path("look.html"), result, Style(near_m=50))


# --- a folder of pages


@pytest.fixture
def photos(photo: Path, tmp_path: Path) -> Path:
    (tmp_path / "photos" / "deep & 50% <b>").mkdir(parents=True)
    for name in ("a.png", "deep & 50% <b>/b c.png"):
        shutil.copy(photo, tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_a_folder_gets_an_index(hqmd, trained_run, photos: Path, tmp_path: Path) -> None:
    """A later run adds to it, and a page that is gone is not in it."""
    model, out = trained_run / "best", tmp_path / "out"
    flags = ("-o", out, "--format", "look,npy", "--model", model, "--skip-existing")
    done = hqmd("predict", photos, *flags)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == str(out / "index.html"), done.stderr
    index = (out / "index.html").read_text("utf-8")
    assert re.findall('href="([^"]+)"', index) == ["a.look.html", "deep%20%26%2050%25%20%3Cb%3E/b%20c.look.html"]
    assert "deep &amp; 50% &lt;b&gt;/b c.png" in index and "2 photos" in index
    for thumbnail in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', index):
        assert max(Image.open(BytesIO(base64.b64decode(thumbnail))).size) == 96
    shutil.copy(photos / "a.png", photos / "c.png")
    (out / "deep & 50% <b>" / "b c.look.html").unlink()
    assert hqmd("predict", photos / "c.png", "-o", out, *flags[2:]).returncode == 0
    assert re.findall('href="([^"]+)"', (out / "index.html").read_text()) == ["a.look.html", "c.look.html"]


def test_an_index_of_someone_else_is_not_replaced(hqmd, trained_run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("mine")
    flags = ("predict", photo, "-o", out, "--format", "look", "--model", trained_run / "best")
    done = hqmd(*flags)
    assert done.returncode == 1 and "index.html: exists, and hqmd did not write it" in done.stderr
    assert (out / "index.html").read_text() == "mine" and list(out.iterdir()) == [out / "index.html"]
    assert hqmd(*flags, "--overwrite").returncode == 0 and "1 photo" in (out / "index.html").read_text("utf-8")


def test_no_index_without_pages(hqmd, trained_run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ("--model", trained_run / "best")
    assert hqmd("predict", photo, "-o", out, "--format", "npy", *flags).returncode == 0
    assert not (out / "index.html").exists()
    done = hqmd("predict", photo, "-o", out / "one.html", *flags)
    assert done.returncode == 0 and done.stdout.splitlines() == [str(out / "one.html")]


@pytest.mark.unix
def test_a_name_that_is_no_utf8_is_written_in_escapes(hqmd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = tmp_path / os.fsdecode(b"\xff.jpg")
    shutil.copy(EXAMPLE, photo)
    (tmp_path / "slope.py").write_text("import numpy as np\ndef depth(rgb):\n    return 1 + rgb[..., 0] / 255\n")
    monkeypatch.chdir(tmp_path)
    result = hqmd("predict", photo, "-o", "pages", "--format", "look,npy", "-m", "py:slope:depth")
    assert result.returncode == 0, result.stderr
    assert meta_of(next(Path("pages").glob("*.look.html")).read_text())["photo"] == r"\udcff.jpg"
