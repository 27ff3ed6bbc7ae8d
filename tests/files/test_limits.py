"""No file, however small, takes more than the largest honest one: every reader asks before it makes room."""

import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer

from hqmd_cli.commands.options import parse_sides
from hqmd_cli.config.base import LARGEST_SIDE, MOST_SIDES
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import read_depth_values
from hqmd_cli.files.limits import LARGEST_TEXT_BYTES, read_bounded, require_array, require_pixels
from hqmd_cli.files.regular import read_regular
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.geometry.surfaces import normals
from hqmd_cli.inference.guided_filter import follow_edges, tall_plane
from hqmd_cli.inference.open import OpenOptions
from hqmd_cli.visualization.colormap import side_by_side, with_legend
from hqmd_cli.visualization.panels import MOST_WIDTH, to_panel_height

MEGABYTE = 2**20
SIDE = 20_000  # squared: 400 megapixels


def npy_header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def npz(content: bytes, name: str = "depth.npy") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def exr(height: int, width: int, chunks: list[bytes], compression: int = 3, extra: bytes = b"") -> bytes:
    """One channel Z of floats in an OpenEXR file."""

    def attribute(name: str, kind: str, value: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value

    header = b"\x76\x2f\x31\x01\2\0\0\0" + extra
    header += attribute("channels", "chlist", b"Z\0" + struct.pack("<iBxxxii", 2, 0, 1, 1) + b"\0")
    header += attribute("compression", "compression", bytes([compression]))
    header += attribute("dataWindow", "box2i", struct.pack("<4i", 0, 0, width - 1, height - 1)) + b"\0"
    start = len(header) + 8 * len(chunks)
    places, packed = [], b""
    for number, chunk in enumerate(chunks):
        places.append(start + len(packed))
        packed += struct.pack("<ii", 16 * number, len(chunk)) + chunk
    return header + struct.pack(f"<{len(places)}Q", *places) + packed


NEGATIVE = b"x\0int\0" + struct.pack("<i", -6)  # an attribute that leads back to its own beginning

BOMBS: dict[str, Callable[[], bytes]] = {
    "shape.npy": lambda: npy_header((SIDE, SIDE)),
    "cut.npy": lambda: npy_header((5000, 5000)),
    "shape.npz": lambda: npz(npy_header((SIDE, SIDE)) + bytes(400 * MEGABYTE)),
    "kind.npz": lambda: npz(npy_header((9000, 9000), "<c16")),
    "raw.npz": lambda: npz(bytes(300 * MEGABYTE), "depth"),
    "shape.pfm": lambda: b"Pf\n%d %d\n-1.0\n" % (SIDE, SIDE),
    "shape.exr": lambda: exr(SIDE, SIDE, []),
    "chunk.exr": lambda: exr(16, 16, [zlib.compress(bytes(300 * MEGABYTE))]),
    "loop.exr": lambda: exr(16, 16, [], extra=NEGATIVE),
    "far.exr": lambda: exr(16, 16, [bytes(9)])[:-30],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.timeout(60)
def test_depth_files_that_grow(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BOMBS[name]())
    tracemalloc.start()
    try:
        with pytest.raises(HqmdError, match=name):
            read_depth_values(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 40 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_honest_ones_are_read(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).uniform(1, 9, (20, 30)).astype(np.float32)
    np.save(tmp_path / "a.npy", depth.astype(np.float64))
    np.savez_compressed(tmp_path / "a.npz", depth=depth, other=np.zeros(3))
    (tmp_path / "a.pfm").write_bytes(b"Pf\n30 20\n-1.0\n" + depth[::-1].tobytes())
    (tmp_path / "a.exr").write_bytes(exr(20, 30, [depth[:16].tobytes(), depth[16:].tobytes()]))
    for path in sorted(tmp_path.iterdir()):
        np.testing.assert_allclose(read_depth_values(path), depth, rtol=1e-6)


def test_budgets() -> None:
    require_pixels(10_000, 10_000)
    require_array((1, 10_000, 10_000), 8)
    for height, width in ((10_000, 10_001), (0, 5), (-3, 5)):
        with pytest.raises(ValueError, match="pixels"):
            require_pixels(height, width)
    with pytest.raises(ValueError, match="megapixels"):
        require_array((10_000, 10_001), 8)
    assert read_bounded(io.BytesIO(b"abc"), 3) == b"abc"
    with pytest.raises(ValueError, match="MB"):
        read_bounded(io.BytesIO(b"abcd"), 3)


def test_a_manifest_of_gigabytes(tmp_path: Path) -> None:
    """This one takes no room on the disk."""
    (tmp_path / "manifest.jsonl").touch()
    os.truncate(tmp_path / "manifest.jsonl", LARGEST_TEXT_BYTES + 1)
    with pytest.raises(HqmdError, match=r"manifest\.jsonl: 2,147 MB, more than"):
        read_regular(tmp_path / "manifest.jsonl")


@pytest.mark.parametrize("text", ["31", "224,224", "0x20", "-5", "9" * 30, ""])
def test_sides_that_are_none(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_sides(text)


@pytest.mark.parametrize("text", [str(LARGEST_SIDE + 1), f"224,{10**8}", ",".join(map(str, range(32, 50)))])
def test_sides_beyond_the_limits(text: str) -> None:
    """In one line, which names the flag."""
    with pytest.raises(HqmdError, match=r"^--side"):
        parse_sides(text)


def test_sides_from_python() -> None:
    assert parse_sides(f"224,{LARGEST_SIDE}") == OpenOptions(sides=(224, LARGEST_SIDE)).sides
    for sides in ((LARGEST_SIDE + 1,), (5,), tuple(range(100, 101 + MOST_SIDES))):
        with pytest.raises(HqmdError, match="--side"):
            OpenOptions(sides=sides)


def test_a_legend_beside_a_very_tall_picture() -> None:
    """The text does not grow with the height alone; beyond the budget there is none."""
    assert with_legend(np.zeros((60_000, 8, 3), np.uint8), 1, 2).shape[1] < 120
    tall = np.broadcast_to(np.uint8(0), (30_000_000, 1, 3))
    with pytest.raises(HqmdError, match="leave out --legend"):
        with_legend(tall, 1, 2)
    wide = np.broadcast_to(np.uint8(0), (1, 150_000_000, 3))
    with pytest.raises(HqmdError, match="leave out --side-by-side"):
        side_by_side(wide, wide)


def test_a_panel_of_a_very_wide_picture() -> None:
    assert to_panel_height(np.zeros((1, 100_000, 3), np.uint8)).shape[1] == MOST_WIDTH


@pytest.mark.parametrize("shape", [(1000, 7), (300, 3)])
def test_rows_that_are_enlarged_as_they_are_asked_for(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as at once, to rounding."""
    random = np.random.default_rng(0)
    depth_m = random.uniform(1, 5, (90, 32)).astype(np.float32)
    image = random.integers(0, 256, (*shape, 3)).astype(np.uint8)
    at_once = follow_edges(depth_m, image, 0.05)
    monkeypatch.setattr("hqmd_cli.inference.guided_filter.MOST_TALL", 10)
    np.testing.assert_allclose(follow_edges(depth_m, image, 0.05), at_once, rtol=1e-4)
    rows = tall_plane(depth_m, 301)
    assert rows(slice(0, 7)).shape == (7, 32) and rows(slice(295, 301)).shape == (6, 32)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(60, 90), (1, 30), (30, 1), (2000, 3), (3, 2000)])
def test_normals_in_strips(shape: tuple[int, int]) -> None:
    depth_m = np.random.default_rng(0).uniform(1, 1.02, shape).astype(np.float32)
    depth_m[0, 0] = 0
    camera = find_intrinsics(*shape)
    with np.errstate(all="ignore"):
        whole = normals(depth_m, camera)
        for size in (1, 7):
            strips = [normals(depth_m, camera, rows=slice(top, top + size)) for top in range(0, shape[0], size)]
            np.testing.assert_array_equal(np.concatenate(strips), whole)
