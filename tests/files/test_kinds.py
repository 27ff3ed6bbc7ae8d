"""The registry of readable kinds, and that nothing goes past it."""

import ast
from pathlib import Path

import pytest
from PIL import Image

from hqmd_cli.files import kinds
from hqmd_cli.files.open_picture import ALLOWED

PACKAGE = Path(kinds.__file__).parents[1]


def name_of(start: bytes) -> str | None:
    form = kinds.by_start(start)
    return form and form.name


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x18ftypisom", "MP4"),
        (b"\0\0\0\x14ftypqt  ", "MP4"),
        (b"\0\0\0\x14ftyp3gp5", "MP4"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "MP4"),
        (b"\0\0\0\x18ftypcrx ", "a camera's raw photo"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
        (b"\0\0\1\xba\x44", "MPEG"),
        (b"FLV\1\5", "Flash video"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6", "Windows Media"),
        ((b"\x47" + bytes(187)) * 5, "MPEG transport stream"),
        ((bytes(4) + b"\x47" + bytes(187)) * 5, "MPEG transport stream"),
        (b"GIF89a", "GIF"),
        (b"P6\n3 2\n255\n", "PPM"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"#EXTM3U\n", "a playlist"),
        (b"<?xml version='1.0'?>\n<svg xmlns=''>", "SVG"),
        (b"<?xml version='1.0'?>\n<list/>", None),
        (b"G is for TypeScript" * 40, None),
        (b"", None),
    ],
)
def test_the_content_tells(start: bytes, name: str | None) -> None:
    assert name_of(start) == name


def test_the_name_tells_where_the_content_does_not(tmp_path: Path) -> None:
    for name, form in {"a.tga": "TGA", "a.jpg": "JPEG", "a.MPG": "MPEG", "a.ts": None, "a.txt": None}.items():
        (tmp_path / name).write_bytes(b"\x10\x11\x12 something else")
        found = kinds.kind_of(tmp_path / name)
        assert (found and found.name) == form
    (tmp_path / "film.jpg").write_bytes(b"\x1a\x45\xdf\xa3")
    assert kinds.is_video(tmp_path / "film.jpg")
    assert not kinds.is_video(tmp_path)  # a folder
    assert kinds.kind_in_folder(tmp_path / "film.jpg") is kinds.BY_NAME["JPEG"]  # without a look
    (tmp_path / "photo.jxl").write_bytes(b"\xff\xd8\xff\xe0")  # a JPEG: the name would leave it out
    assert kinds.kind_in_folder(tmp_path / "photo.jxl") is kinds.BY_NAME["JPEG"]
    (tmp_path / "notes.jxl").write_text("no picture")
    assert kinds.kind_in_folder(tmp_path / "notes.jxl") is kinds.BY_NAME["JPEG XL"]


def test_a_transport_stream_is_not_told_by_a_suffix_it_shares_with_typescript(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes((b"\x47" + bytes(187)) * 9)
    (tmp_path / "b.ts").write_text("export const answer = 42\n")
    assert kinds.is_video(tmp_path / "a.ts") and not kinds.is_video(tmp_path / "b.ts")


def test_suffixes() -> None:
    assert {".jpg", ".png", ".webp", ".tif", ".gif", ".ppm", ".jp2", ".pcx", ".icns"} <= kinds.photo_suffixes()
    assert kinds.can_move(Path("x.gif")) and not kinds.can_move(Path("x.jpg"))
    owners = [suffix for form in kinds.FORMATS for suffix in form.suffixes]
    assert len(owners) == len(set(owners))


def test_every_photo_has_a_format_that_pillow_may_open() -> None:
    assert {form.pillow for form in kinds.FORMATS if form.medium == "photo"} <= ALLOWED


def test_what_cannot_be_read_has_a_remedy() -> None:
    for form in kinds.FORMATS:
        if not form.readable:
            assert form.remedy in kinds.why_unreadable(form)
    assert kinds.why_unreadable(kinds.BY_NAME["JPEG"]) == ""


def test_no_format_that_pillow_decodes_is_forgotten() -> None:
    """Those that are left out run other programs, hold pictures of any format, or are decoded by no plugin."""
    Image.init()
    left_out = {"EPS", "WMF", "IPTC", "FPX", "MIC", "MPEG", "BUFR", "GRIB", "HDF5", "PDF"}
    assert set(Image.OPEN) - ALLOWED <= left_out


def calls() -> list[tuple[str, ast.Call]]:
    """(module, call) of every call in the package."""
    return [
        (str(path.relative_to(PACKAGE)), node)
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


@pytest.mark.slow
def test_pillow_opens_files_in_one_place_and_nothing_unpickles() -> None:
    for module, call in calls():
        called = ast.unparse(call.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert called != "Image.open" or module == "files/open_picture.py", module
        # Processes of one run send each other pickles, as those of multiprocessing do; no file is one.
        assert not called.startswith("pickle.") or module.startswith("parallel/"), module
        if called == "np.load":
            assert given.get("allow_pickle") == "False", module
        if called == "torch.load":
            assert given.get("weights_only") == "True", module
