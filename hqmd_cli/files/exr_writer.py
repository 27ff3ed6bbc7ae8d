"""Encode depth as OpenEXR files, which files/exr.py and compositors such as Blender and Nuke read.

One part in scanlines with one channel of float32, compressed with ZIP, 16 rows a chunk. Follows "OpenEXR File Layout",
https://openexr.com/en/latest/OpenEXRFileLayout.html.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

MAGIC_AND_VERSION = b"\x76\x2f\x31\x01\x02\0\0\0"
ZIP, CHUNK_ROWS = 3, 16
FLOAT = 2
CHANNEL = "Z"


def encode_exr(values: NDArray[np.float32]) -> bytes:
    """Encode (H, W) float32 as the channel Z."""
    height, width = values.shape
    header = MAGIC_AND_VERSION + b"".join(attribute(*entry) for entry in attributes(height, width)) + b"\0"
    chunks = []
    for top in range(0, height, CHUNK_ROWS):
        packed = pack(values[top : top + CHUNK_ROWS])
        chunks.append(struct.pack("<ii", top, len(packed)) + packed)
    begin = len(header) + 8 * len(chunks)
    offsets = np.cumsum([begin, *map(len, chunks)])[:-1]
    return header + offsets.astype("<u8").tobytes() + b"".join(chunks)


def attributes(height: int, width: int) -> list[tuple[str, str, bytes]]:
    """Return name, type and value of each required attribute."""
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    channel = CHANNEL.encode() + b"\0" + struct.pack("<iB3xii", FLOAT, 0, 1, 1) + b"\0"
    return [
        ("channels", "chlist", channel),
        ("compression", "compression", bytes([ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    ]


def attribute(name: str, kind: str, value: bytes) -> bytes:
    """Pack one attribute of the header."""
    return f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value


def pack(rows: NDArray[np.float32]) -> bytes:
    """Compress rows: even bytes before odd ones, each as its difference to the byte before plus 128, then ZIP.

    Rows that do not shrink are stored as they are, which the format tells by their length.
    """
    plain = np.frombuffer(rows.astype("<f4").tobytes(), np.uint8)
    halves = np.concatenate([plain[0::2], plain[1::2]])
    differences = halves.copy()
    differences[1:] = halves[1:] - halves[:-1] + np.uint8(128)
    packed = zlib.compress(differences.tobytes())
    return packed if len(packed) < plain.size else plain.tobytes()
