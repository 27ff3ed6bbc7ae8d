"""Pipes and devices: refused where a file belongs, read within limits where a photo may come from."""

import os
import threading
from pathlib import Path

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.files import regular
from hqmd_cli.files.jsonl import append_row, complete_lines
from hqmd_cli.files.regular import file_hash, open_regular, read_pipe, read_regular


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe that nobody writes to."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("named pipes are of Unix")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.unix
def test_a_pipe_where_a_file_belongs_is_not_waited_for(pipe: Path) -> None:
    for do in (open_regular, read_regular, file_hash, complete_lines, lambda path: append_row(path, {})):
        with pytest.raises(HqmdError, match="pipe: a pipe or device, not a file"):
            do(pipe)
    with pytest.raises(HqmdError, match="a pipe or device"):
        read_regular(Path("/dev/zero"))


def test_a_pipe_is_read_to_its_end(pipe: Path) -> None:
    content = os.urandom(3_000_000)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()
    assert read_pipe(pipe, "photo") == content
    writer.join()


def test_a_pipe_has_limits(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular, "LONGEST_SILENCE_S", 0.1)
    with pytest.raises(HqmdError, match="photo: nothing came from this pipe"):
        read_pipe(pipe, "photo")
    monkeypatch.setattr(regular, "LARGEST_PHOTO_BYTES", 1000)
    read_end, write_end = os.pipe()
    os.write(write_end, bytes(2000))
    with os.fdopen(read_end, "rb") as file, pytest.raises(HqmdError, match="photo: more than"):
        regular.read_stream(file, "photo")
    os.close(write_end)
