"""The real command under load: its memory over many photos and shapes, and its probes beside the largest photos."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from PIL import Image

from served import STARTED, Wire, picture_bytes, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")]
TINY = """
import numpy as np
def predict(rgb):
    height, width = rgb.shape[:2]
    return np.broadcast_to(np.linspace(1, 3, width, dtype=np.float32), (height, width)).copy()
"""
TINY_MODEL = ("--model", "py:quick:predict", "--model-kind", "depth")
PROBING_S = 600
PROBE = b"GET /healthz HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., tuple[int, psutil.Process]]]:
    """Start `hqmd serve` with these flags; return its port and its process."""
    started: list[subprocess.Popen] = []
    (tmp_path / "quick.py").write_text(TINY)

    def start(*flags: str) -> tuple[int, psutil.Process]:
        command = [sys.executable, "-m", "hqmd_cli", "serve", "--port", "0", "--quiet", *flags]
        with (tmp_path / "log").open("w") as log:
            started.append(subprocess.Popen(command, stderr=log, cwd=tmp_path))
        wait_until(lambda: STARTED.search((tmp_path / "log").read_text()), 120)
        found = STARTED.search((tmp_path / "log").read_text())
        assert found
        return int(found[3]), psutil.Process(started[0].pid)

    yield start
    for process in started:
        process.terminate()
        process.wait(60)


def own_mb(process: psutil.Process) -> float:
    """The memory that is the process's own, and its worker's."""
    return sum(each.memory_full_info().uss for each in (process, *process.children())) / 1e6


@pytest.mark.timeout(900)  # beside other work
def test_probes_are_answered_while_the_largest_photos_are_computed_or_end_the_process(serve) -> None:
    """The bounds are for a machine with other work; benchmarks/serve.md has the figures of a quieter one."""
    file = BytesIO()
    Image.new("RGB", (10_000, 10_000), (90, 120, 60)).save(file, "JPEG", quality=50)
    port, process = serve(*TINY_MODEL)
    with ThreadPoolExecutor(6) as pool:

        def ask(form: str) -> tuple[int, bytes]:
            status, _, body = Wire(port, PROBING_S).post(file.getvalue(), f"/v1/depth?format={form}").answer()
            return status, body

        (worker,) = process.children()
        deadly = pool.submit(ask, "mm")
        wait_until(lambda: worker.memory_info().rss > 400e6, PROBING_S)  # it has decoded the photo
        worker.kill()
        jobs, seconds = [pool.submit(ask, form) for form in ("mm", "npy", "glb", "json", "view")], []
        while not all(job.done() for job in jobs):
            began = time.monotonic()
            assert Wire(port).send(PROBE).answer()[0] == 200
            seconds.append(time.monotonic() - began)
            time.sleep(0.02)
        status, told = deadly.result()
        assert status == 500 and b"the process that computes ended" in told
        assert [job.result()[0] for job in jobs] == [200] * len(jobs)
    assert len(seconds) > 10 and sorted(seconds)[len(seconds) * 99 // 100] < 0.5, seconds
    (worker,) = process.children()
    process.kill()
    worker.wait(20)


def test_a_chunked_body_meets_the_limit_while_it_arrives(serve) -> None:
    """200 MB without a Content-Length: refused after 50 MB, and never held."""
    port, process = serve(*TINY_MODEL)
    assert Wire(port).post(picture_bytes(240, 320, "JPEG")).answer()[0] == 200
    before, most = process.memory_info().rss, 0
    wire = Wire(port).send(b"POST /v1/depth HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"f4240\r\n" + bytes(1_000_000) + b"\r\n"
    for _ in range(200):
        try:
            wire.send(piece)
        except OSError:
            break
        most = max(most, process.memory_info().rss - before)
    status, told = wire.problem()
    assert status == 413 and "50 MB" in told
    assert most < 60e6, f"{most / 1e6:.0f} MB more"


def test_memory_does_not_grow_with_the_number_of_photos(serve) -> None:
    port, process = serve(*TINY_MODEL)
    photo = picture_bytes(240, 320, "JPEG")
    wires = [Wire(port) for _ in range(4)]

    def ask(count: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(lambda wire: [wire.post(photo).answer()[0] for _ in range(count)], wire) for wire in wires
            ]
            assert {status for job in jobs for status in job.result()} == {200}

    ask(50)
    before = own_mb(process)
    ask(150)
    assert own_mb(process) - before < 10, f"{own_mb(process) - before:.1f} MB more after 600 photos"


@pytest.mark.long
def test_memory_does_not_grow_with_the_number_of_shapes(serve) -> None:
    """ONNX Runtime keeps what each shape of its input needed; so the largest shape comes first."""
    port, process = serve("--model", "hqmd-indoor-small")
    wire = Wire(port)
    sizes = sorted(
        ((480 + 16 * (n % 12), 480 + 48 * (n // 12)) for n in range(60)), key=lambda size: -size[0] * size[1]
    )
    photos = [picture_bytes(*size, "JPEG", quality=60) for size in sizes]
    after = []
    for _ in range(2):
        for photo in photos:
            assert wire.post(photo).answer()[0] == 200
        after.append(own_mb(process))
    assert after[1] - after[0] < 30, after
