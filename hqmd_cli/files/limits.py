"""How large anything may be that hqmd reads or draws; docs/predict.md states these limits.

A file says its size in its header, or grows while it is unpacked. So every reader asks here before it makes room, and
no file, however small, takes more memory than the largest honest photo.
"""

from collections.abc import Collection
from typing import BinaryIO

from hqmd_cli.config.base import LARGEST_SIDE, MOST_SIDES, SMALLEST_SIDE
from hqmd_cli.errors import HqmdError

LARGEST_PIXELS = 100_000_000  # of a photo, and of a depth map
LARGEST_FRAME_PIXELS = 36_000_000  # of a frame of a video: 8K has 33 million; several frames are in work at a time
LARGEST_SPOOL_BYTES = 16 * 4 * LARGEST_FRAME_PIXELS  # of depth that waits on the disk: float32 of 16 frames of a video
LARGEST_DRAWN_PIXELS = 2 * LARGEST_PIXELS  # of a picture that is written: a photo beside its colours has twice as many
LARGEST_PHOTO_BYTES = 1_000_000_000  # 100 megapixels with four values of 16 bits have 800 million
LARGEST_DEPTH_BYTES = 8 * LARGEST_PIXELS  # unpacked: one number of 64 bits a pixel
LARGEST_TEXT_BYTES = 2**31  # of a manifest: a million records take half of it
LARGEST_JSON_BYTES = 16 * 2**20  # of a config, a record, or the header of weights
LARGEST_TOML_BYTES = 2**16  # recipes and protocols have hundreds; tomllib takes minutes for megabytes of dotted keys
LARGEST_HEADER_BYTES = 2**20  # of a file whose content is bounded by what its header says
PIECE_BYTES = 2**20


class TooLarge(ValueError):
    """A file, or a picture in it, exceeds a limit of this module."""


def require_pixels(height: int, width: int, most: int = LARGEST_PIXELS, remedy: str = "scale it to") -> None:
    """Raise TooLarge for more than `most` pixels, and ValueError for a side that is not positive."""
    if height < 1 or width < 1:
        raise ValueError(f"{width} x {height} pixels are not a picture")
    if height * width > most:
        raise TooLarge(f"{width} x {height} pixels; {remedy} at most {most // 10**6} megapixels")


def sides_in(text: str) -> tuple[int, ...]:
    """ "224,288" -> (224, 288). Raises ValueError for what is no list of sides, and HqmdError beyond the limits."""
    numbers = [side.strip() for side in text.split(",")]
    sides = tuple(int(side) if side.isdecimal() and len(side) < 10 else 0 for side in numbers)
    if min(sides) < SMALLEST_SIDE or len(set(sides)) < len(sides):
        raise ValueError(
            f"{text!r}: sides are whole numbers from {SMALLEST_SIDE} to {LARGEST_SIDE}, such as 224 or 224,288"
        )
    require_sides(sides)
    return sides


def require_sides(sides: Collection[int]) -> None:
    """Raise HqmdError for sides at which no network should see a photo."""
    if len(sides) > MOST_SIDES:
        raise HqmdError(f"--side: {len(sides)} sides are too many; {MOST_SIDES} at most are averaged")
    if min(sides) < SMALLEST_SIDE or max(sides) > LARGEST_SIDE:
        wrong = next(side for side in sides if not SMALLEST_SIDE <= side <= LARGEST_SIDE)
        raise HqmdError(
            f"--side {wrong}: a network sees {SMALLEST_SIDE} to {LARGEST_SIDE} pixels; more would take all memory"
        )


def require_bytes(size: int, most: int) -> None:
    """Raise TooLarge for more than `most` bytes."""
    if size > most:
        raise TooLarge(f"{size / 1e6:,.0f} MB, more than the {most / 1e6:,.0f} MB that are read")


def require_array(shape: tuple[int, ...], itemsize: int) -> None:
    """Raise ValueError for an array of numbers that is larger than a depth map may be, by what its header says."""
    size = itemsize
    for side in shape:
        size *= side
    if size > LARGEST_DEPTH_BYTES:
        wanted = " x ".join(map(str, shape))
        raise ValueError(
            f"an array of {wanted}, {size / 1e6:,.0f} MB unpacked; a depth map has at most "
            f"{LARGEST_PIXELS // 10**6} megapixels"
        )


def require_drawn(height: int, width: int, what: str, flag: str) -> None:
    """Raise HqmdError unless a picture of this size may be drawn; `flag` is what makes it so large."""
    if height * width > LARGEST_DRAWN_PIXELS:
        raise HqmdError(
            f"{what} the picture would have {width} x {height} pixels, more than the "
            f"{LARGEST_DRAWN_PIXELS // 10**6} million that are drawn; leave out {flag}"
        )


def read_bounded(file: BinaryIO, most: int) -> bytes:
    """Read a stream to its end. Raises ValueError once it has given more than `most` bytes."""
    pieces, size = [], 0
    while piece := file.read(min(PIECE_BYTES, most + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        require_bytes(size, most)
    return b"".join(pieces)
