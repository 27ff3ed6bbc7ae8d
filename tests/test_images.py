"""Picture files in and out, and which file a result goes to."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hqmd_cli import images
from hqmd_cli.errors import HqmdError
from hqmd_cli.images import depth_unit_tag, read_image
from hqmd_cli.outputs import OUTPUTS, output_for, plan

ORIENTATION = 0x0112  # the EXIF tag


def corners(height: int = 24, width: int = 40) -> np.ndarray:
    """Four fields of different colour: which way is up, and which way is left, can be seen."""
    image = np.full((height, width, 3), 200, np.uint8)
    image[: height // 2, : width // 2] = 255, 0, 0
    image[: height // 2, width // 2 :] = 0, 255, 0
    image[height // 2 :, : width // 2] = 0, 0, 255
    return image


def jpeg(orientation_and_more: bytes) -> bytes:
    """A JPEG with this EXIF block."""
    buffer = io.BytesIO()
    Image.fromarray(corners()).save(buffer, "JPEG", quality=95, exif=orientation_and_more)
    return buffer.getvalue()


def exif_block(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF by hand, since Pillow writes none that is wrong: (tag, type, count, four bytes of value) each."""
    table = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)


# ---- photos in ----

# How a camera stores an upright picture under each orientation (the standard's own eight).
STORED_AS = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED_AS[orientation](corners()))
    options = {"lossless": True} if suffix == ".webp" else {"quality": 95, "subsampling": 0} if suffix == ".jpg" else {}
    Image.fromarray(stored).save(tmp_path / f"x{suffix}", exif=exif, **options)
    read = images.read_image(tmp_path / f"x{suffix}")
    assert read.shape == (24, 40, 3) and read.dtype == np.uint8 and read.flags.writeable
    assert np.abs(read.astype(int) - corners()).mean() < 6


@pytest.mark.parametrize(
    "entry",
    [
        (0x0100, 2, 3, b"ab\0\0"),  # the width as text
        (0x011A, 2, 2, b"7\0\0\0"),  # the resolution as text
        (0x8769, 4, 1, struct.pack("<I", 99999)),  # the camera's part beyond the end
    ],
    ids=["width", "resolution", "camera"],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_nonsense_beside_the_orientation(tmp_path: Path, entry) -> None:
    """Viewers show such photos upright; none of it is needed to see the picture."""
    (tmp_path / "x.jpg").write_bytes(jpeg(exif_block(entry, (ORIENTATION, 3, 1, struct.pack("<HH", 6, 0)))))
    assert images.read_image(tmp_path / "x.jpg").shape == (40, 24, 3)


@pytest.mark.parametrize("block", [b"Exif\0\0rubbish", b"Exif\0\0II", exif_block((ORIENTATION, 3, 1, b"\x63\0\0\0"))])
def test_exif_that_is_none(tmp_path: Path, block: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg(block))
    assert images.read_image(tmp_path / "x.jpg").shape == (24, 40, 3)


def grey_ramp() -> np.ndarray:
    return np.linspace(0, 255, 24 * 40).reshape(24, 40).round().astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".bmp"])
def test_grey(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(grey_ramp()).save(tmp_path / f"x{suffix}")
    read = images.read_image(tmp_path / f"x{suffix}")
    assert read.shape == (24, 40, 3)
    assert np.abs(read.astype(int) - grey_ramp()[..., None]).max() <= 3


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "<u2"), (".tif", "<u2"), (".tif", ">u2"), (".tif", "<i4")])
def test_16_bit_grey(tmp_path: Path, suffix: str, kind: str) -> None:
    """The whole range of 16 bits becomes that of 8; cut off, all but the darkest would be white."""
    values = grey_ramp().astype(np.uint16) * 257
    Image.fromarray(values.astype(kind)).save(tmp_path / f"x{suffix}")
    read = images.read_image(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(read, np.repeat(grey_ramp()[..., None], 3, axis=2))


def test_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(corners()[..., 0] > 100).save(tmp_path / "x.png")
    assert sorted(np.unique(images.read_image(tmp_path / "x.png"))) == [0, 255]


def test_palette(tmp_path: Path) -> None:
    Image.fromarray(corners()).quantize(8).save(tmp_path / "x.png")
    np.testing.assert_array_equal(images.read_image(tmp_path / "x.png"), corners())


def test_cmyk(tmp_path: Path) -> None:
    Image.fromarray(corners()).convert("CMYK").save(tmp_path / "x.jpg", quality=95, subsampling=0)
    assert np.abs(images.read_image(tmp_path / "x.jpg").astype(int) - corners()).mean() < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    """What lies under it is often black or rubbish that no viewer shows."""
    rgba = np.zeros((24, 40, 4), np.uint8)
    rgba[:, 20:, 3] = 255
    picture = Image.fromarray(rgba)
    picture = picture.quantize(4) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as stored:
        assert stored.mode == mode  # or this tests something else
    read = images.read_image(tmp_path / "x.png")
    assert (read[:, :20] == 255).all() and (read[:, 20:] == 0).all()


def test_half_transparent(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 24), (255, 0, 0, 128)).save(tmp_path / "x.png")
    np.testing.assert_allclose(images.read_image(tmp_path / "x.png")[0, 0], (255, 127, 127), atol=1)


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".png"])
def test_of_several_pictures_the_first(tmp_path: Path, suffix: str) -> None:
    first, second = Image.new("RGB", (40, 24), "red"), Image.new("RGB", (40, 24), "blue")
    options = {"lossless": True} if suffix == ".webp" else {}
    first.save(tmp_path / f"x{suffix}", save_all=True, append_images=[second], **options)
    with Image.open(tmp_path / f"x{suffix}") as stored:
        assert stored.n_frames == 2  # or this tests something else
    assert images.read_image(tmp_path / f"x{suffix}")[5, 5].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("text.jpg", b"not a picture at all\n" * 20),
        ("page.png", b"<!DOCTYPE html><html></html>"),
        ("begins.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_no_picture(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HqmdError, match=rf"{tmp_path}/{name}: "):
        images.read_image(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(HqmdError, match=rf"cut\{suffix}: "):
        images.read_image(path)


def test_decompression_bomb(tmp_path: Path, monkeypatch) -> None:
    """Pillow refuses what would fill the memory, with an exception of its own kind."""
    Image.new("L", (100, 100)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for read in (images.read_image, images.read_depth_values, images.depth_unit_tag):
        with pytest.raises(HqmdError, match=r"huge\.png: "):
            read(tmp_path / "huge.png")


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"nothing\.jpg: no such file"):
        images.read_image(tmp_path / "nothing.jpg")
    with pytest.raises(HqmdError, match="a folder, not a photo"):
        images.read_image(tmp_path)


# ---- depth in and out ----


def some_depth() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 10, (24, 40)).astype(np.float32)


def test_millimetres_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "depth.png"
    images.write_depth_mm(path, some_depth())
    values = images.read_depth_values(path)
    assert values.dtype == np.uint16
    assert np.abs(values / 1000 - some_depth()).max() <= 0.0005 + 1e-6
    assert images.depth_unit_tag(path) == 1000


def test_no_depth_is_0(tmp_path: Path) -> None:
    """A negative number is no depth either; in 16 bits it would come out as 65 m."""
    images.write_depth_mm(tmp_path / "x.png", np.array([[np.nan, np.inf, -np.inf, 0, -1, 2]]))
    assert images.read_depth_values(tmp_path / "x.png").tolist() == [[0, 0, 0, 0, 0, 2000]]


def test_too_far_for_16_bits(tmp_path: Path) -> None:
    images.write_depth_mm(tmp_path / "x.png", np.array([[65.535, 1]]))
    assert images.read_depth_values(tmp_path / "x.png").max() == 65535
    with pytest.raises(HqmdError, match=r"y\.png: 65\.5 m does not fit .*\.npy"):
        images.write_depth_mm(tmp_path / "y.png", np.array([[65.536, 1]]))
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_npy_there_and_back(tmp_path: Path, dtype: type) -> None:
    depth_m = some_depth().astype(dtype)
    depth_m[0, 0] = 80  # further than 16 bits of millimetres reach
    images.write_depth_npy(tmp_path / "depth.npy", depth_m)
    values = images.read_depth_values(tmp_path / "depth.npy")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, depth_m.astype(np.float32))
    assert [file.name for file in tmp_path.iterdir()] == ["depth.npy"]


def test_a_depth_file_of_others_has_no_tag(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.uint16)).save(tmp_path / "x.png")
    np.save(tmp_path / "x.npy", np.ones((4, 4)))
    assert images.depth_unit_tag(tmp_path / "x.png") is None
    assert images.depth_unit_tag(tmp_path / "x.npy") is None


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, depth=np.ones((4, 4)))
    return buffer.getvalue()


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.npy", b""),
        ("empty.png", b""),
        ("text.npy", b"1.5 2.5"),
        ("cut.npy", npy(np.ones((40, 40)))[:-100]),
        ("several.npy", npz()),  # np.savez, renamed
        ("zip.npy", b"PK\x03\x04rubbish"),
        ("objects.npy", npy(np.array([[{}]], dtype=object))),
        ("words.npy", npy(np.array([["a"]]))),
        ("mask.npy", npy(np.ones((4, 4), bool))),
        ("batch.npy", npy(np.ones((1, 4, 4)))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_depth_map(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HqmdError, match=rf"{tmp_path}/{name}: "):
        images.read_depth_values(tmp_path / name)


class Trap:
    """Runs code of its own when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_reading_a_depth_map_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "trap.npy").write_bytes(npy(np.array([[Trap(tmp_path / "sprung")]], dtype=object)))
    with pytest.raises(HqmdError, match=r"trap\.npy: "):
        images.read_depth_values(tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


def test_a_colour_picture_is_no_depth_map(tmp_path: Path) -> None:
    Image.fromarray(corners()).save(tmp_path / "x.png")
    with pytest.raises(HqmdError, match=r"one number a pixel, this is \(24, 40, 3\)"):
        images.read_depth_values(tmp_path / "x.png")


# ---- writing ----


def test_nothing_half_written(tmp_path: Path) -> None:
    """A crash in the middle leaves the old file as it was, and nothing beside it."""
    path = tmp_path / "result.txt"
    path.write_text("old")

    def crash(aside: Path) -> None:
        aside.write_text("ne")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        images.write_aside(path, crash)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk(tmp_path: Path) -> None:
    def full(aside: Path) -> None:
        aside.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(HqmdError, match=r"result\.txt: cannot be written: No space left on device"):
        images.write_aside(tmp_path / "result.txt", full)
    assert not list(tmp_path.iterdir())


def test_written_beside_and_renamed(tmp_path: Path) -> None:
    """In the same folder, since a rename across disks is a copy; under a hidden name, which find_photos leaves out."""
    seen: list[Path] = []
    images.write_aside(tmp_path / "x.png", lambda aside: (seen.append(aside), aside.write_text("new")))
    assert seen[0].parent == tmp_path and seen[0].name.startswith(".") and seen[0] != tmp_path / "x.png"
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


def write_each_kind(folder: Path) -> list:
    """All writers, into a folder: (name, call)."""
    return [
        (name, lambda name=name, write=write: write(folder / name))
        for name, write in {
            "depth.png": lambda path: images.write_depth_mm(path, some_depth()),
            "depth.npy": lambda path: images.write_depth_npy(path, some_depth()),
            "picture.png": lambda path: images.write_image(path, corners()),
            "figure.png": lambda path: images.write_figure(path, Figure(figsize=(1, 1))),
            "text.md": lambda path: images.write_text(path, "µ"),
        }.items()
    ]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the folder should be; a read-only folder would not stop a test that runs as root."""
    (tmp_path / "out").write_text("a file")
    for name, write in write_each_kind(tmp_path / "out"):
        with pytest.raises(HqmdError, match=rf"out/{name}: cannot be written"):
            write()


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    for name, write in write_each_kind(tmp_path):
        (tmp_path / name).mkdir()
        with pytest.raises(HqmdError, match=rf"{name}: cannot be written"):
            write()
    assert not list(tmp_path.glob(".*"))


def test_every_writer_leaves_its_file_only(tmp_path: Path) -> None:
    written = write_each_kind(tmp_path / "new" / "tree")
    for _, write in written:
        write()
        write()  # an older result is replaced
    assert {file.name for file in (tmp_path / "new" / "tree").iterdir()} == {name for name, _ in written}


@pytest.mark.parametrize("name", ["x.png", "x.PNG", "x.webp", "x.tiff"])
def test_picture_there_and_back(tmp_path: Path, name: str) -> None:
    images.write_image(tmp_path / name, np.full((4, 4, 3), (250, 0, 0), np.uint8))
    np.testing.assert_allclose(images.read_image(tmp_path / name)[0, 0], (250, 0, 0), atol=8)


@pytest.mark.parametrize("name", ["x.xyz", "x", "x.psd"])  # Pillow knows .psd, but only to read it
def test_unknown_picture_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(HqmdError, match=rf"{name}: no picture format has this suffix"):
        images.write_image(tmp_path / name, corners())


@pytest.mark.parametrize(("name", "begins"), [("x.png", b"\x89PNG"), ("x.PDF", b"%PDF"), ("x.svg", b"<?xml")])
def test_figure_format(tmp_path: Path, name: str, begins: bytes) -> None:
    images.write_figure(tmp_path / name, Figure(figsize=(1, 1)))
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_unknown_figure_format(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"x\.docx: cannot be written with this suffix"):
        images.write_figure(tmp_path / "x.docx", Figure(figsize=(1, 1)))


# ---- finding photos ----


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_find_photos_keeps_the_tree(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b.JPG", "a/b.png", "a/c/d.webp", "notes.txt", "a/.hidden.jpg", "depth.npy")))
    assert list(images.find_photos(tmp_path)) == [
        (tmp_path / "a/b.png", Path("a/b.png")),
        (tmp_path / "a/c/d.webp", Path("a/c/d.webp")),
        (tmp_path / "b.JPG", Path("b.JPG")),
    ]


def test_a_folder_with_a_photo_s_name_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path / "scan.tif" / "page.png")
    assert list(images.find_photos(tmp_path)) == [(tmp_path / "scan.tif/page.png", Path("scan.tif/page.png"))]


def test_one_photo_is_its_own_place(tmp_path: Path) -> None:
    """Of any suffix: what the user names is not second-guessed, reading it will tell."""
    touch(tmp_path / "photo.heic")
    assert list(images.find_photos(tmp_path / "photo.heic")) == [(tmp_path / "photo.heic", Path("photo.heic"))]


def test_finding_nothing_is_loud(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt")
    with pytest.raises(HqmdError, match=r"no photos in this folder \(.*\.jpg.*\.png"):
        list(images.find_photos(tmp_path))
    with pytest.raises(HqmdError, match="nothing: no such file or folder"):
        list(images.find_photos(tmp_path / "nothing"))


# ---- planning ----


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.png", "color"),
        ("x.mm.png", "mm"),  # which also ends with .png: the longest suffix decides
        ("X.MM.PNG", "mm"),
        ("x.npy", "npy"),
        ("x.jpg", None),
        ("folder", None),
        ("run.v2", None),
    ],
)
def test_suffix_picks_the_output(name: str, kind: str | None) -> None:
    assert output_for(Path(name)) is OUTPUTS.get(kind)


def targets(jobs) -> list[list[tuple[str, str]]]:
    kinds = {output: kind for kind, output in OUTPUTS.items()}
    return [[(path.as_posix(), kinds[output]) for path, output in job.targets] for job in jobs]


def here(*names: str) -> list[tuple[Path, Path]]:
    """Photos of a source folder `in`."""
    return [(Path("in") / name, Path(name)) for name in names]


def test_one_photo_to_named_files(tmp_path: Path, monkeypatch) -> None:
    """Several destinations, each by its suffix; the formats asked for are those of folders."""
    monkeypatch.chdir(tmp_path)
    jobs = plan(here("a.jpg"), [Path("x.png"), Path("x.mm.png"), Path("deep/x.npy")], None)
    assert targets(jobs) == [[("x.png", "color"), ("x.mm.png", "mm"), ("deep/x.npy", "npy")]]


def test_folder_keeps_the_tree(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = plan(here("a.b.jpg", "sub/c.png"), [Path("out")], "mm,npy")
    assert targets(jobs) == [
        [("out/a.b.mm.png", "mm"), ("out/a.b.npy", "npy")],
        [("out/sub/c.mm.png", "mm"), ("out/sub/c.npy", "npy")],
    ]


def test_a_folder_may_have_a_dot(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert targets(plan(here("a.jpg", "b.jpg"), [Path("run.v2")], "npy"))[0] == [("run.v2/a.npy", "npy")]
    Path("maps.png").mkdir()
    assert targets(plan(here("a.jpg"), [Path("maps.png")], "npy")) == [[("maps.png/a.npy", "npy")]]


def test_one_photo_to_an_unknown_suffix(tmp_path: Path) -> None:
    """Most likely a file was meant, not a folder named x.jpg."""
    with pytest.raises(HqmdError, match=r"x\.jpg: no output has this suffix; there are \.png, \.mm\.png, \.npy"):
        plan(here("a.jpg"), [tmp_path / "x.jpg"], None)


def test_many_photos_to_one_file(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"x\.png: one file cannot hold 2 depth maps; give -o a folder"):
        plan(here("a.jpg", "b.jpg"), [tmp_path / "x.png"], None)


@pytest.mark.parametrize("names", [("a.jpg", "a.png"), ("a.jpg", "a.jpg")], ids=["one name", "twice"])
def test_two_results_in_one_file(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(HqmdError, match=rf"in/{names[0]} and in/{names[1]} would both be written to .*out/a\.npy"):
        plan(here(*names), [tmp_path / "out"], "npy")


def test_two_ways_to_one_file(tmp_path: Path, monkeypatch) -> None:
    """Compared where they lie, not as they are spelt."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HqmdError, match="would both be written"):
        plan(here("a.jpg"), [Path("x.npy"), tmp_path / "sub" / ".." / "x.npy"], None)


def test_a_photo_is_not_overwritten(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HqmdError, match=r"in/a\.png: would overwrite a photo; choose another -o"):
        plan(here("a.png"), [Path("in")], "color")
    # Nor one of the other photos of the same run.
    with pytest.raises(HqmdError, match=r"in/b\.png: would overwrite a photo"):
        plan([*here("a.jpg"), *here("b.png"), *here("b.jpg")], [tmp_path / "in"], "color")
    assert targets(plan(here("a.png"), [Path("in")], "mm")) == [[("in/a.mm.png", "mm")]]


def test_a_photo_behind_a_link_is_not_overwritten(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(HqmdError, match="would overwrite a photo"):
        plan([(tmp_path / "real" / "a.png", Path("a.png"))], [tmp_path / "link"], "color")


def test_unknown_format_lists_the_formats(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match="no output format named 'exr'; there are: color, mm, npy"):
        plan(here("a.jpg"), [tmp_path], "color,exr")


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_write_what_they_say(tmp_path: Path, kind: str) -> None:
    output = OUTPUTS[kind]
    path = tmp_path / f"x{output.suffix}"
    output.write(path, some_depth())
    if kind == "color":
        assert images.read_image(path).shape == (24, 40, 3)
    else:
        scale = images.depth_unit_tag(path) or 1
        assert np.abs(images.read_depth_values(path) / scale - some_depth()).max() <= 0.0005 + 1e-6


def test_fractional_and_32_bit_pictures_are_refused_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)).save(tmp_path / "f.tif")
    Image.fromarray(np.full((3, 4), 70_000, np.int32)).save(tmp_path / "i.tif")
    for name in ("f.tif", "i.tif"):
        with pytest.raises(HqmdError, match=rf"{name}: cannot be read: .*8- or 16-bit"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("tag", ["0", "nan", "-5", "metres"])
def test_a_unit_tag_that_is_no_unit(tag: str, tmp_path: Path) -> None:
    note = PngInfo()
    note.add_text("depth_units_per_metre", tag)
    Image.fromarray(np.full((3, 4), 2000, np.uint16)).save(tmp_path / "d.png", pnginfo=note)
    with pytest.raises(HqmdError, match=r"d\.png: its text chunk"):
        depth_unit_tag(tmp_path / "d.png")


def test_no_colours_under_the_suffix_of_millimetres(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"view\.mm\.png: this suffix"):
        plan([(tmp_path / "view.mm.jpg", Path("view.mm.jpg"))], [tmp_path / "out"], "color")
