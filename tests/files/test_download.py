"""`hqmd data nyu` from a server on this machine: whole, or broken off, mistaken and refusing in every way we know."""

import hashlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from file_server import FileServer, breaks_off, elsewhere, fails, hangs_up, no_parts, refuses
from hqmd_cli import data
from hqmd_cli.data import nyu
from hqmd_cli.errors import HqmdError
from hqmd_cli.files import download
from hqmd_cli.files.download import ATTEMPTS, RemoteFile, fetch

SIGNATURE = (512, b"\x89HDF\r\n\x1a\n")
CONTENT = (
    b"MATLAB 7.3 MAT-file".ljust(512)
    + SIGNATURE[1]
    + np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
)


def remote(url: str, content: bytes = CONTENT) -> RemoteFile:
    return RemoteFile(url, len(content), hashlib.sha256(content).hexdigest(), SIGNATURE)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(download, "FIRST_WAIT_S", 0)
    return tmp_path / "deep" / "labeled.mat"


def part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def test_whole(path: Path) -> None:
    seen: list[int] = []
    with FileServer(CONTENT) as server:
        assert fetch(remote(server.url), path, seen.append) == "downloaded"
    assert path.read_bytes() == CONTENT and not part_of(path).exists()
    assert server.ranges == [None] and seen[-1] == len(CONTENT)


def test_broken_off_in_the_middle(path: Path) -> None:
    with FileServer(CONTENT, [breaks_off(1000), breaks_off(100_000), hangs_up]) as server:
        fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=101000-", "bytes=101000-"]


def test_gone_on_with_in_another_run(path: Path) -> None:
    with FileServer(CONTENT, [breaks_off(5000), *[hangs_up] * ATTEMPTS]) as server:
        with pytest.raises(HqmdError, match=r"0 of 0 MB are in .*\.part, and the same command goes on from there"):
            fetch(remote(server.url), path)
        assert part_of(path).read_bytes() == CONTENT[:5000] and not path.exists()
        fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT and server.ranges[-1] == "bytes=5000-"


def test_patience_is_for_attempts_that_bring_nothing(path: Path) -> None:
    """A server that breaks off after every few bytes is borne with as long as it brings some."""
    with FileServer(CONTENT, [breaks_off(20_000)] * (2 * ATTEMPTS)) as server:
        fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT and len(server.ranges) == 2 * ATTEMPTS + 1


def test_waits_grow(path: Path, monkeypatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(download, "FIRST_WAIT_S", 1)
    monkeypatch.setattr(download.time, "sleep", waits.append)
    with FileServer(CONTENT, [fails(503)] * ATTEMPTS) as server, pytest.raises(HqmdError, match="answers 503"):
        fetch(remote(server.url), path)
    assert waits == [1, 2, 4, 8]


def test_a_server_that_knows_no_parts_begins_anew(path: Path) -> None:
    with FileServer(CONTENT, [breaks_off(7000), no_parts]) as server:
        fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT


def test_a_server_that_refuses_the_part_begins_anew(path: Path) -> None:
    with FileServer(CONTENT, [breaks_off(7000), refuses]) as server:
        fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT and server.ranges == [None, "bytes=7000-", None]


@pytest.mark.parametrize("begin", [0, 6000])
def test_a_part_from_further_back(path: Path, begin: int) -> None:
    with FileServer(CONTENT, [breaks_off(7000), elsewhere(begin)]) as server:
        fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT


def test_a_part_from_further_on_is_not_taken(path: Path) -> None:
    with FileServer(CONTENT, [breaks_off(7000), elsewhere(8000)]) as server:
        fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT and server.ranges[1:] == ["bytes=7000-"] * 2


@pytest.mark.parametrize("there", [0, 7000, 250_000])
def test_another_size_is_refused_before_a_byte_is_written(path: Path, there: int) -> None:
    """Whether it is announced with the whole file, with a part, or because the part is beyond its end."""
    path.parent.mkdir()
    part_of(path).write_bytes(CONTENT[:there])
    with FileServer(CONTENT[:200_000]) as server, pytest.raises(HqmdError, match="server has 200000 bytes there"):
        fetch(remote(server.url), path)
    assert part_of(path).read_bytes() == CONTENT[:there] and len(server.ranges) == 1


@pytest.mark.parametrize("status", [403, 404, 410])
def test_errors_that_do_not_pass(path: Path, status: int) -> None:
    with FileServer(CONTENT, [fails(status)]) as server, pytest.raises(HqmdError, match=f"the server answers {status}"):
        fetch(remote(server.url), path)
    assert len(server.ranges) == 1


def test_nobody_there(path: Path) -> None:
    with FileServer(CONTENT) as server:
        url = server.url
    with pytest.raises(HqmdError, match=r"mat: Connection refused; 0 of 0 MB"):
        fetch(remote(url), path)


def test_other_content_of_the_same_size(path: Path) -> None:
    """Kept, so that three gigabytes are not thrown away; but a second try begins anew."""
    changed = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    complaint = r"what came has the sha256 .*, the file has .*kept as .*\.rejected"
    with FileServer(changed) as server, pytest.raises(HqmdError, match=complaint):
        fetch(remote(server.url), path)
    assert not path.exists() and not part_of(path).exists()
    assert path.with_name("labeled.mat.rejected").read_bytes() == changed
    with FileServer(CONTENT) as server:
        fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT and server.ranges == [None]


def test_a_part_of_another_file(path: Path) -> None:
    """It has the right length in the end, but not the right bytes."""
    path.parent.mkdir()
    part_of(path).write_bytes(bytes(9000))
    with FileServer(CONTENT) as server, pytest.raises(HqmdError, match="not a file of this kind"):
        fetch(remote(server.url), path)


def test_what_is_there_is_checked_and_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    with FileServer(CONTENT) as server:
        assert fetch(remote(server.url), path) == "is there already"
        assert server.ranges == []
        path.write_bytes(CONTENT[:-5])
        with pytest.raises(HqmdError, match=r"exists already, but has 300515 bytes, the file has 300520; move it away"):
            fetch(remote(server.url), path)
    assert path.read_bytes() == CONTENT[:-5]


def test_no_room(path: Path, monkeypatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, 1000))
    with FileServer(CONTENT) as server, pytest.raises(HqmdError, match=r"GB are free; make room"):
        fetch(remote(server.url), path)
    assert server.ranges == []


def test_what_cannot_be_written_is_told_at_once(path: Path) -> None:
    """By a limit of the system's on the size of files, which stands for a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with (
            FileServer(CONTENT) as server,
            pytest.raises(HqmdError, match=r"\.part: cannot be written: File too large"),
        ):
            fetch(remote(server.url), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(server.ranges) == 1


# ---- the command ----


@pytest.fixture
def server(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HQMD_DATA", raising=False)
    with FileServer(CONTENT, [breaks_off(5000)]) as server:
        monkeypatch.setattr(nyu, "LABELLED", remote(server.url))
        yield server


def test_the_command_puts_it_where_it_is_found(hqmd, server: FileServer, tmp_path: Path) -> None:
    result = hqmd("data", "nyu")
    assert result.returncode == 0, result.stderr
    assert "downloaded, 300520 bytes, sha256" in result.stderr and data.default_data().read_bytes() == CONTENT
    assert "is there already" in hqmd("data", "nyu").stderr


@pytest.mark.parametrize(
    ("output", "place"),
    [("", "nyu_depth_v2_labeled.mat"), ("new", "new/nyu_depth_v2_labeled.mat"), ("mine.mat", "mine.mat")],
)
def test_the_command_puts_it_where_it_is_told(
    hqmd, server: FileServer, tmp_path: Path, output: str, place: str
) -> None:
    assert hqmd("data", "nyu", "-o", tmp_path / output, "--url", server.url).returncode == 0
    assert (tmp_path / place).read_bytes() == CONTENT


def test_no_address(hqmd, server: FileServer) -> None:
    result = hqmd("data", "nyu", "--url", "file:///etc/passwd")
    assert result.returncode == 1 and "not an address" in result.stderr


def test_what_is_known_of_the_official_file() -> None:
    assert nyu.LABELLED.url == data.NYU_URL and nyu.LABELLED.size == 2972037809 and len(nyu.LABELLED.sha256) == 64
    assert nyu.LABELLED.signature == SIGNATURE


@pytest.mark.slow
def test_ctrl_c(tmp_path: Path) -> None:
    """While the server is silent; what had come by then is kept."""
    asked, done = threading.Event(), threading.Event()

    def silent(request, content: bytes, begin: int) -> None:
        request.send(200, content[:5000], Content_Length=len(content))
        asked.set()
        done.wait(30)

    with FileServer(CONTENT, [silent]) as server:
        code = (
            "import sys; from hqmd_cli.data import nyu; from hqmd_cli.files.download import RemoteFile\n"
            f"nyu.LABELLED = RemoteFile({server.url!r}, {len(CONTENT)}, 'x', (0, b''))\n"
            f"sys.argv = ['hqmd', 'data', 'nyu', '-o', {str(tmp_path / 'f.mat')!r}]\n"
            "from hqmd_cli.app import main; main()"
        )
        run = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, process_group=0)
        assert asked.wait(30)
        time.sleep(0.5)  # until what came is read
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=30)
        done.set()
    assert run.returncode == 130 and "goes on from here" in said and "Traceback" not in said
