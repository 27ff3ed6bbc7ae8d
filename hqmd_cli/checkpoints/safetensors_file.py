"""Look at a file of weights without reading it: is it whole, and does it hold numbers?

The check takes milliseconds and neither torch nor safetensors, so a cold `hqmd predict` can afford it. A safetensors
file holds 8 bytes with the length of the header, the header in JSON, and the data that the header's offsets point into
(https://huggingface.co/docs/safetensors).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.checked_json import UNCHECKED, parse_json
from hqmd_cli.files.limits import LARGEST_JSON_BYTES
from hqmd_cli.files.regular import open_regular

LENGTH_BYTES = 8
BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}
FLOATS = {"F64", "F32", "F16", "BF16"}
SAMPLED = 32  # tensors that are looked into, spread over the file
WINDOW_BYTES = 512  # at the beginning, the middle and the end of such a tensor
REMEDY = "it was cut off or damaged; download or copy it again"


class Tensor(NamedTuple):
    """A tensor as the header describes it."""

    dtype: str  # such as F16
    shape: tuple[int, ...]
    begin: int  # in bytes, from the beginning of the file
    end: int


def read_header(path: Path) -> dict[str, Tensor]:
    """Read the tensors by name, in the order of their data.

    Raises HqmdError, which names the file, unless the header is sound and the file as long as it says.
    """
    try:
        with open_regular(path) as file:
            tensors, expected = parsed_header(file)
            size = file.seek(0, 2)
    except (OSError, ValueError) as error:
        raise HqmdError(f"{path}: cannot be read: {first_line(error)}; {REMEDY}") from error
    if size != expected:
        raise HqmdError(f"{path}: cannot be read: it has {size:,} bytes instead of {expected:,}; {REMEDY}")
    return tensors


def parsed_header(file: BinaryIO) -> tuple[dict[str, Tensor], int]:
    """Return the tensors, and the size that the file should have. Raises ValueError for a damaged header."""
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if not 2 <= length <= LARGEST_JSON_BYTES:
        raise ValueError("it is not a safetensors file")
    content = file.read(length)
    if len(content) < length:
        raise ValueError(f"it ends within its header of {length:,} bytes")
    header = parse_json(content, dict, UNCHECKED)  # tensor_of looks at every number
    header.pop("__metadata__", None)
    start = LENGTH_BYTES + length
    tensors = {name: tensor_of(name, entry, start) for name, entry in header.items()}
    tensors = dict(sorted(tensors.items(), key=lambda item: item[1].begin))
    end = start
    for name, tensor in tensors.items():
        if tensor.begin != end:
            raise ValueError(f"its header places {name} wrongly")
        end = tensor.end
    return tensors, end


def tensor_of(name: str, entry: Any, start: int) -> Tensor:
    """Read an entry of the header. Raises ValueError for a damaged entry, and if its shape and offsets do not fit."""
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        bits = BITS.get(dtype)
        fits = bits is None or math.prod(shape) * bits == 8 * (end - begin)
        if (
            fits
            and 0 <= begin <= end
            and {int}.issuperset(map(type, (begin, end, *shape)))
            and min(shape, default=0) >= 0
        ):
            return Tensor(dtype, tuple(shape), start + begin, start + end)
    except (KeyError, TypeError, ValueError):
        pass
    raise ValueError(f"its header describes {name} wrongly")


def require_whole(path: Path) -> None:
    """Raise HqmdError for a file that was cut off, or whose kernels and matrices are zeros.

    A download that was interrupted can have the right size: the bytes that did not come are zeros. Some of the tensors
    are looked into, from the first to the last. Vectors are left out, as biases may well be zeros.
    """
    tensors = read_header(path)
    weights = [
        (name, tensor)
        for name, tensor in tensors.items()
        if tensor.dtype in FLOATS and is_kernel(name, tensor.shape) and tensor.end > tensor.begin
    ]
    step = max(1, (len(weights) - 1) / (SAMPLED - 1))
    sample = [weights[round(place * step)] for place in range(min(SAMPLED, len(weights)))]
    with open_regular(path) as file:
        for name, tensor in sample:
            if is_zero(file, tensor):
                raise HqmdError(f"{path}: {name} holds nothing but zeros; {REMEDY}")


def is_kernel(name: str, shape: Sequence[int]) -> bool:
    """Return True for kernels and matrices, which no network begins with as zeros; other maps may be learned from 0."""
    return name.endswith("weight") and len(shape) > 1


def is_zero(file: BinaryIO, tensor: Tensor) -> bool:
    """Return True if all bytes of a tensor are zeros. Nearly always, a few of them tell."""
    last = max(tensor.begin, tensor.end - WINDOW_BYTES)
    for place in (tensor.begin, (tensor.begin + last) // 2, last):
        file.seek(place)
        if any(file.read(min(WINDOW_BYTES, tensor.end - place))):
            return False
    file.seek(tensor.begin)
    return not any(file.read(tensor.end - tensor.begin))
