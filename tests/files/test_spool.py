"""Arrays that wait in a temporary file: what goes in comes out to the bit, once, and no more than there is room for."""

import numpy as np
import pytest

from hqmd_cli.files.spool import Spool


@pytest.mark.parametrize("in_memory_bytes", [1, 10**6])
def test_what_goes_in_comes_out(in_memory_bytes: int) -> None:
    rng = np.random.default_rng(0)
    arrays = {bytes([i]): rng.normal(0, 1, (i + 1, 5)).astype(np.float32) for i in range(4)}
    arrays[b"view"] = arrays[b"\x03"].T[::2]  # not in one piece
    with Spool(in_memory_bytes=in_memory_bytes) as spool:
        for key, array in arrays.items():
            spool.keep(key, array)
        for key in reversed(arrays):
            back = spool.take(key)
            assert back is not None and back.dtype == np.float32
            np.testing.assert_array_equal(back, arrays[key])
            back[0] = 0  # can be written to
            assert spool.take(key) is None
        assert not spool and spool.refused == 0


def test_no_more_than_it_may() -> None:
    with Spool(most_bytes=100) as spool:
        for key in (b"a", b"b", b"c"):
            spool.keep(key, np.full(10, key[0], np.float32))
        assert spool.refused == 1 and spool.take(b"c") is None
        assert (spool.take(b"b") == ord("b")).all() and (spool.take(b"a") == ord("a")).all()


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept before is still there, and nothing more is kept."""
    with Spool(in_memory_bytes=50) as spool:
        spool.keep(b"a", np.zeros(10, np.float32))
        monkeypatch.setattr(spool._file, "rollover", lambda: (_ for _ in ()).throw(OSError(28, "No space left")))
        spool.keep(b"b", np.zeros(10, np.float32))
        spool.keep(b"c", np.zeros(1, np.float32))
        assert spool.refused == 2 and (spool.take(b"a") == 0).all() and not spool
