"""Arrays that wait in a temporary file until they are needed again, so that they are not computed twice."""

import math
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.files.limits import LARGEST_SPOOL_BYTES

IN_MEMORY_BYTES = 64 * 2**20  # more goes to a file in the system's temporary folder ($TMPDIR)


class Spool:
    """Keeps arrays, to the bit, by a key; up to `most_bytes` in all. The file vanishes at the end of the `with`."""

    def __init__(self, most_bytes: int = LARGEST_SPOOL_BYTES, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self.most_bytes = most_bytes
        self.refused = 0  # arrays that there was no room for
        self._file = SpooledTemporaryFile(in_memory_bytes)  # noqa: SIM115
        self._places: dict[bytes, tuple[int, np.dtype[Any], tuple[int, ...]]] = {}
        self._end = 0

    def keep(self, key: bytes, array: NDArray[Any]) -> None:
        """Keep an array; count it as refused if it is beyond `most_bytes`, or the disk is full."""
        try:
            if self.refused or self._end + array.nbytes > self.most_bytes:
                raise OSError
            self._file.seek(self._end)
            self._file.write(np.ascontiguousarray(array).data)
        except OSError:
            self.refused += 1
            return
        self._places[key] = self._end, array.dtype, array.shape
        self._end += array.nbytes

    def take(self, key: bytes) -> NDArray[Any] | None:
        """Return the array of a key and remove it; None if the key is not there."""
        if key not in self._places:
            return None
        place, dtype, shape = self._places.pop(key)
        self._file.seek(place)
        content = self._file.read(math.prod(shape) * dtype.itemsize)
        return np.frombuffer(bytearray(content), dtype).reshape(shape)  # of a bytearray, so that it can be written to

    def __bool__(self) -> bool:
        return bool(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
