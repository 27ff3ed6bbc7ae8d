"""Depth maps in files: what is written is read back, and what is no depth map is refused."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_unit_tag, encode_npy, read_depth_values, read_npy, write_depth_mm
from pictures import corners, some_depth


def test_millimetres_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "depth.png"
    write_depth_mm(path, some_depth())
    values = read_depth_values(path)
    assert values.dtype == np.uint16
    assert np.abs(values / 1000 - some_depth()).max() <= 0.0005 + 1e-6
    assert depth_unit_tag(path) == 1000


def test_no_depth_is_0(tmp_path: Path) -> None:
    """A negative number is no depth either; in 16 bits it would come out as 65 m."""
    write_depth_mm(tmp_path / "x.png", np.array([[np.nan, np.inf, -np.inf, 0, -1, 2]]))
    assert read_depth_values(tmp_path / "x.png").tolist() == [[0, 0, 0, 0, 0, 2000]]


def test_too_far_for_16_bits(tmp_path: Path) -> None:
    write_depth_mm(tmp_path / "x.png", np.array([[65.535, 1]]))
    assert read_depth_values(tmp_path / "x.png").max() == 65535
    with pytest.raises(HqmdError, match=r"y\.png: 65\.5 m does not fit .*\.npy"):
        write_depth_mm(tmp_path / "y.png", np.array([[65.536, 1]]))
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_npy_there_and_back(tmp_path: Path, dtype: type) -> None:
    depth_m = some_depth().astype(dtype)
    depth_m[0, 0] = 80  # further than 16 bits of millimetres reach
    (tmp_path / "depth.npy").write_bytes(encode_npy(depth_m))
    values = read_depth_values(tmp_path / "depth.npy")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, depth_m.astype(np.float32))


def test_a_depth_file_of_others_has_no_tag(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.uint16)).save(tmp_path / "x.png")
    np.save(tmp_path / "x.npy", np.ones((4, 4)))
    assert depth_unit_tag(tmp_path / "x.png") is None
    assert depth_unit_tag(tmp_path / "x.npy") is None


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
        read_depth_values(tmp_path / name)


class Trap:
    """Runs code of its own when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_reading_a_depth_map_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "trap.npy").write_bytes(npy(np.array([[Trap(tmp_path / "sprung")]], dtype=object)))
    with pytest.raises(HqmdError, match=r"trap\.npy: "):
        read_depth_values(tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


def test_a_colour_picture_is_no_depth_map(tmp_path: Path) -> None:
    Image.fromarray(corners()).save(tmp_path / "x.png")
    with pytest.raises(HqmdError, match=r"one number a pixel, this is \(24, 40, 3\)"):
        read_depth_values(tmp_path / "x.png")


@pytest.mark.parametrize("tag", ["0", "nan", "-5", "metres"])
def test_a_unit_tag_that_is_no_unit(tag: str, tmp_path: Path) -> None:
    note = PngInfo()
    note.add_text("depth_units_per_metre", tag)
    Image.fromarray(np.full((3, 4), 2000, np.uint16)).save(tmp_path / "d.png", pnginfo=note)
    with pytest.raises(HqmdError, match=r"d\.png: its text chunk"):
        depth_unit_tag(tmp_path / "d.png")


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of files")
def test_a_full_disk_is_told_with_the_system_s_words(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; "
        "from hqmd_cli.files.atomic import write_bytes; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); write_bytes(Path(sys.argv[1]), bytes(9999))"
    )
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path / "d.npy")], capture_output=True, text=True)
    assert "d.npy: cannot be written: File too large" in run.stderr and not list(tmp_path.iterdir())


def test_npy_files_are_read_in_many_threads_at_once(tmp_path: Path) -> None:
    """Python 3.11.7 raises SystemError if two threads parse headers at once. Also by columns, and of other numbers."""
    arrays = [
        np.asarray(np.arange(24).reshape(4, 6), dtype, order)  # type: ignore[call-overload]
        for dtype in ("<f4", ">f8", "u2", "?")
        for order in "CF"
    ]
    for number, values in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", values)
    files = sorted(tmp_path.iterdir()) * 200
    with ThreadPoolExecutor(8) as pool:
        for file, values in zip(files, pool.map(read_npy, files), strict=True):
            np.testing.assert_array_equal(values, arrays[int(file.stem)])
            assert values.dtype == arrays[int(file.stem)].dtype
