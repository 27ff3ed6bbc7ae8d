"""A fast PNG encoder, because PNG is what predict writes most.

Encoding the colours of a 512 x 512 photo takes 2 ms with ISA-L, 11 ms with OpenCV and 17 ms with Pillow, for about the
same size. With OpenCV a cold `hqmd predict` takes 4 % more CPU time, with Pillow 3 to 7 % (medians
of 25 to 30 pairs of runs, hqmd-indoor-small). Format: https://www.w3.org/TR/png-3/.
"""

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2  # colour types
UP = 2  # row filter: each byte minus the byte above it
LEVEL = 1  # of 0..3


def encode_png(pixels: NDArray[np.uint8] | NDArray[np.uint16], text: Mapping[str, str] | None = None) -> bytes:
    """Encode (H, W, 3) uint8 RGB or (H, W) uint16 as a PNG with text chunks in Latin-1.

    Raises ValueError for any other array.
    """
    if (pixels.dtype.kind, pixels.itemsize, *pixels.shape[2:], pixels.ndim) not in {("u", 1, 3, 3), ("u", 2, 2)}:
        raise ValueError(f"neither (H, W, 3) uint8 nor (H, W) uint16: {pixels.shape} {pixels.dtype}")
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">"), copy=False).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    bits, colour = 8 * pixels.itemsize, RGB if pixels.ndim == 3 else GREY
    chunks = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)),
        *(chunk(b"tEXt", f"{key}\0{value}".encode("latin-1")) for key, value in (text or {}).items()),
        chunk(b"IDAT", isal_zlib.compress(filtered, LEVEL)),
        chunk(b"IEND", b""),
    ]
    return SIGNATURE + b"".join(chunks)


def chunk(kind: bytes, content: bytes) -> bytes:
    """Pack a chunk: length, kind, content and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
