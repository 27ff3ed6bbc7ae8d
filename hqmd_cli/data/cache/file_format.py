"""All samples of a dataset in one file, decoded, bit for bit as the dataset returns them.

    samples    photo, (H, W, 3) uint8; depth, (H, W) uint16 or float32; two masks of one bit per pixel, if needed
    table      one ROW per sample: offset, size, how its depth is stored, and a checksum of its bytes
    names      JSON
    END        magic number, offsets of table and names, length of the file

END is written last and the file appears by rename, so a file that can be opened is complete. A disk may damage it
afterwards: the checksum of a sample is compared when a process first reads it, and a damaged one is decoded again from
the data itself. Reading does not copy photos: they are pages of the file, shared by all processes on the computer.
"""

import json
import mmap
import secrets
import struct
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, FileDataset, Sample
from hqmd_cli.errors import HqmdError, complain, printable
from hqmd_cli.files.atomic import sync
from hqmd_cli.files.checked_json import parse_json

ROW = np.dtype(
    [
        ("begin", "<u8"), ("height", "<u4"), ("width", "<u4"), ("units", "<f4"), ("masks", "<u1"), ("length", "<u8"),
        ("checksum", "<u4"),
    ]
)  # fmt: skip
END = struct.Struct("<8sQQQ")
MAGIC = b"hqmddec2"  # change it with the format; 1 had no checksums
OWN_VALID, HAS_EDGES = 1, 2  # which masks are stored; without OWN_VALID, depth is valid where it is positive
UNITS = (1000.0, 256.0, 5000.0, 65535 / 50, 100.0)  # per metre, of 16-bit formats, the most frequent one first
PARTS = "*.part"


class NotCached(Exception):
    """The cache does not exist or is incomplete."""


class DecodedDataset:
    """A dataset read from its decoded file. A sample that could not be decoded is read from the dataset itself."""

    def __init__(self, dataset: Dataset, path: Path) -> None:
        """Open the file. Raises NotCached if it does not exist, is incomplete, or has another number of samples."""
        self.dataset, self.path = dataset, path
        self.ground_truth, self.description = dataset.ground_truth, dataset.description
        self.table, self.sample_names, self._content = open_decoded(path)
        self._checked: set[int] = set()  # samples whose checksum this process has compared
        self._is_damaged = False
        if len(self.table) != len(dataset):
            raise NotCached(f"{path}: {len(self.table)} samples, the data has {len(dataset)}")

    @property
    def names(self) -> list[str]:
        """Names of the samples, in order."""
        return self.dataset.names

    @property
    def photos(self) -> list[str]:
        """One string per sample that identifies its photo."""
        return self.dataset.photos

    def __len__(self) -> int:
        return len(self.table)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "table": None, "sample_names": None, "_content": None, "_checked": set()}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Open the file again in a process that was not forked; without it, read the dataset itself."""
        self.__dict__.update(state)
        try:
            self.table, self.sample_names, self._content = open_decoded(self.path)
        except NotCached:
            self.table = np.zeros(len(self.dataset), ROW)
            self.sample_names = []

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        if not row["height"] or not self.is_whole(index, row):
            return self.dataset[index]
        sample = unpack(self._content, row, self.sample_names[index])
        return (
            replace(sample, focal_px=self.dataset.focal_px(index)) if isinstance(self.dataset, FileDataset) else sample
        )

    def is_whole(self, index: int, row: np.void) -> bool:
        """Compare a sample's checksum, once in a process. The first damaged one is said, and removes the file.

        Processes that have it open read on; the next run builds it again.
        """
        if index in self._checked:
            return True
        begin, length = int(row["begin"]), int(row["length"])
        if zlib.crc32(memoryview(self._content)[begin : begin + length]) == row["checksum"]:
            self._checked.add(index)
            return True
        if not self._is_damaged:
            self._is_damaged = True
            self.path.unlink(missing_ok=True)
            complain(
                HqmdError(
                    f"{printable(str(self.path))}: the cache is damaged and was removed; its damaged pictures are "
                    "decoded anew, and the next run builds it again"
                )
            )
        return False


def open_decoded(path: Path) -> tuple[NDArray[np.void], list[str], mmap.mmap]:
    """Return the table, the names and the mapped file. Raises NotCached if it is incomplete."""
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, table_at, names_at, length = END.unpack(content[-END.size :])
        if magic != MAGIC or length != len(content):
            raise ValueError("incomplete")
        names = parse_json(content[names_at : -END.size], list)
        table = np.frombuffer(content, ROW, (names_at - table_at) // ROW.itemsize, table_at)
        if len(table) != len(names) or not all(isinstance(name, str) for name in names):
            raise ValueError("names are missing")
        require_inside(table, table_at)
    except (OSError, ValueError, TypeError, struct.error) as error:
        raise NotCached(f"{path}: {error}") from error
    return table, names, content


def require_inside(table: NDArray[np.void], end: int) -> None:
    """Raise ValueError if a row points beyond the samples, which end at `end`, or to fewer bytes than it needs."""
    pixels = table["height"].astype(object) * table["width"].astype(object)  # whole numbers without a limit
    depth_bytes = np.where(table["units"] > 0, 2, 4)
    masks = np.array([bin(int(mask) & (OWN_VALID | HAS_EDGES)).count("1") for mask in table["masks"]], object)
    needed = pixels * (3 + depth_bytes) + (pixels + 7) // 8 * masks
    reach = table["begin"].astype(object) + table["length"].astype(object)
    if len(table) and ((needed != table["length"]).any() or (reach > end).any()):
        raise ValueError("a row of its table points elsewhere")


def write_decoded(path: Path, samples: Iterable[Sample | HqmdError]) -> None:
    """Write samples to a file; an error takes the place of a sample that cannot be read."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTS[1:]}")
    rows, names = [], []
    try:
        with part.open("xb") as file:
            for sample in samples:
                row, arrays = pack(sample) if isinstance(sample, Sample) else (np.zeros((), ROW), [])
                row["begin"] = file.tell()
                names.append(sample.name if isinstance(sample, Sample) else "")
                for array in arrays:
                    content = np.ascontiguousarray(array).data
                    row["length"] += content.nbytes
                    row["checksum"] = zlib.crc32(content, int(row["checksum"]))
                    file.write(content)
                rows.append(row)
            table_at = file.tell()
            names_at = table_at + file.write(np.array(rows, ROW).tobytes())
            end = names_at + file.write(json.dumps(names).encode()) + END.size
            file.write(END.pack(MAGIC, table_at, names_at, end))
        sync(part)
        part.replace(path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def pack(sample: Sample) -> tuple[NDArray[np.void], list[NDArray]]:
    """Return the row of a sample, without `begin`, and the arrays to write."""
    row = np.zeros((), ROW)
    row["height"], row["width"] = sample.depth_m.shape
    row["units"], depth = pack_depth(sample.depth_m)
    arrays: list[NDArray] = [sample.image, depth]
    if not np.array_equal(sample.valid, sample.depth_m > 0):
        row["masks"] |= OWN_VALID
        arrays.append(np.packbits(sample.valid))
    if sample.edges is not None:
        row["masks"] |= HAS_EDGES
        arrays.append(np.packbits(sample.edges))
    return row, arrays


def pack_depth(depth_m: NDArray[np.float32]) -> tuple[float, NDArray[np.uint16] | NDArray[np.float32]]:
    """Return units per metre and 16-bit depth if that restores depth_m exactly; or else 0 and depth_m."""
    for units in UNITS:
        with np.errstate(invalid="ignore", over="ignore"):
            numbers = np.round(depth_m * np.float32(units)).astype(np.uint16)
        if np.array_equal(to_metres(numbers, units).view(np.uint32), depth_m.view(np.uint32)):  # -0 and NaN, too
            return units, numbers
    return 0.0, depth_m


def to_metres(numbers: NDArray[np.uint16], units: float) -> NDArray[np.float32]:
    """Divide with the rounding of the dataset readers."""
    return numbers.astype(np.float32) / np.float32(units)


def unpack(content: mmap.mmap, row: np.void, name: str) -> Sample:
    """Restore a sample. The photo and float32 depth are views of the file, and read-only."""
    shape, offset = (int(row["height"]), int(row["width"])), int(row["begin"])
    pixels = shape[0] * shape[1]

    def take(kind: type[np.generic], number: int) -> NDArray:
        nonlocal offset
        array = np.frombuffer(content, kind, number, offset)
        offset += array.nbytes
        return array

    def mask() -> NDArray[np.bool_]:
        return np.unpackbits(take(np.uint8, (pixels + 7) // 8), count=pixels).view(np.bool_).reshape(shape)

    image = take(np.uint8, 3 * pixels).reshape(*shape, 3)
    units = float(row["units"])
    depth_m = to_metres(take(np.uint16, pixels), units) if units else take(np.float32, pixels)
    depth_m = depth_m.reshape(shape)
    valid = mask() if row["masks"] & OWN_VALID else depth_m > 0
    return Sample(name, image, depth_m, valid, mask() if row["masks"] & HAS_EDGES else None)
