"""Read depth from OpenEXR files: one part in scanlines, uncompressed or ZIP.

Not with OpenCV: the wheels of version 5 lack OpenEXR, and version 4 reads it only if an environment variable is set
before the import. Follows "OpenEXR File Layout", https://openexr.com/en/latest/OpenEXRFileLayout.html.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.limits import LARGEST_HEADER_BYTES, require_pixels

MAGIC = b"\x76\x2f\x31\x01"
TILED, DEEP, MULTIPART = 0x200, 0x800, 0x1000
COMPRESSIONS = ("none", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")
ROWS_A_CHUNK = {"none": 1, "ZIPS": 1, "ZIP": 16}  # the compressions that are read here
PIXEL_TYPES = ("<u4", "<f2", "<f4")
DEPTH_CHANNELS = frozenset({"z", "y", "v", "depth"})  # y is grey, v what Blender calls a single value


class Channel(NamedTuple):
    """A channel of a picture."""

    name: str  # such as "Z", or "ViewLayer.Depth.Z"
    dtype: np.dtype


def read_exr(path: Path) -> NDArray[np.number]:
    """Read the only channel, or the only one with a name of DEPTH_CHANNELS, as (H, W) of the data window.

    Raises HqmdError for an unsupported file, and ValueError, struct.error or zlib.error for a damaged one. Only what
    is needed is read, and nothing is unpacked beyond the size that the header says.
    """
    with path.open("rb") as file:
        return read_scanlines(path, file)


def read_scanlines(path: Path, file: BinaryIO) -> NDArray[np.number]:
    """Read the depth of an opened file; see read_exr."""
    content = file.read(LARGEST_HEADER_BYTES)
    if content[:4] != MAGIC:
        raise ValueError("not an OpenEXR file")
    (flags,) = struct.unpack_from("<I", content, 4)
    if flags & (TILED | DEEP | MULTIPART):
        raise HqmdError(f"{path}: a tiled, deep or multi-part EXR; save it as one part in scanlines, or as .npy")
    header, start = read_header(content)
    compression = COMPRESSIONS[header["compression"][0]]
    if compression not in ROWS_A_CHUNK:
        raise HqmdError(
            f"{path}: EXR compression {compression} is not read, {', '.join(ROWS_A_CHUNK)} are; save it so, or as .npy"
        )
    channels = read_channels(header["channels"])
    chosen = depth_channel(path, channels)
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    height, width = bottom - top + 1, right - left + 1
    require_pixels(height, width)
    rows = np.dtype([(channel.name, channel.dtype, (width,)) for channel in channels])  # the layout of one scanline
    values = np.zeros((height, width), chosen.dtype)  # rows that are in no chunk have no depth
    chunk_rows = ROWS_A_CHUNK[compression]
    file.seek(start)
    chunks = -(-height // chunk_rows)
    for offset in struct.unpack(f"<{chunks}Q", file.read(8 * chunks)):
        file.seek(offset)
        y, size = struct.unpack("<ii", file.read(8))
        count = min(chunk_rows, bottom + 1 - y)
        if not (top <= y <= bottom and 0 <= size <= count * rows.itemsize):
            raise ValueError(f"a chunk of {size} bytes for row {y}")
        packed = file.read(size)
        # A chunk is stored uncompressed if compression does not make it smaller.
        plain = packed if size == count * rows.itemsize else unzip(packed, count * rows.itemsize)
        values[y - top : y - top + count] = np.frombuffer(plain, rows, count)[chosen.name]
    return values


def read_header(content: bytes) -> tuple[dict[str, bytes], int]:
    """Return the bytes of each attribute, and the offset of the table of chunks."""
    position, attributes = 8, {}
    while content[position]:
        ends = content.index(b"\0", position), content.index(b"\0", content.index(b"\0", position) + 1)
        name = content[position : ends[0]].decode("latin-1")
        (size,) = struct.unpack_from("<i", content, ends[1] + 1)
        position = ends[1] + 5
        if not 0 <= size <= len(content) - position:  # a negative one would lead back, and round for ever
            raise ValueError(f"its attribute {printable(name[:40])} has {size} bytes")
        attributes[name] = content[position : position + size]
        position += size
    return attributes, position + 1


def read_channels(chlist: bytes) -> list[Channel]:
    """Return the channels in the order of a scanline."""
    channels, position = [], 0
    while chlist[position]:
        end = chlist.index(b"\0", position)
        (pixel_type,) = struct.unpack_from("<i", chlist, end + 1)
        channels.append(Channel(chlist[position:end].decode("latin-1"), np.dtype(PIXEL_TYPES[pixel_type])))
        position = end + 17  # type, linearity and its padding, sampling in x and y
    return channels


def depth_channel(path: Path, channels: list[Channel]) -> Channel:
    """Choose the channel with the depth. Raises HqmdError listing the channels unless exactly one fits."""
    fitting = [c for c in channels if c.name.rpartition(".")[2].lower() in DEPTH_CHANNELS]
    if len(channels) == 1:
        return channels[0]
    if len(fitting) != 1:
        raise HqmdError(
            f"{path}: which channel is the depth? There are {printable(', '.join(c.name for c in channels[:20]))}; "
            "save one alone, or call it Z"
        )
    return fitting[0]


def unzip(packed: bytes, size: int) -> bytes:
    """Undo ZIP, which stores each byte as its difference to the byte before plus 128, even bytes before odd ones.

    Raises ValueError for more than `size` bytes, the chunk's.
    """
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(packed, size)
    if unpacking.unconsumed_tail:
        raise ValueError(f"a chunk of more than its {size} bytes")
    differences = np.frombuffer(unpacked, np.uint8).astype(np.int64)
    differences[1:] -= 128
    halves = np.cumsum(differences).astype(np.uint8)
    plain = np.empty_like(halves)
    middle = (halves.size + 1) // 2
    plain[0::2], plain[1::2] = halves[:middle], halves[middle:]
    return plain.tobytes()
