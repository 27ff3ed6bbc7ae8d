"""`hqmd serve` as a process: what it prints, how it stops, TLS, no disk, and what it does without its extra."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hqmd_cli.errors import INTERRUPTED
from hqmd_cli.installed import how_to_install
from served import FORM, STARTED, TOKEN, Wire, form_of, picture_bytes, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")]
SMALL = ("--model", "hqmd-indoor-small", "--port", "0")
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # HTTP_PROXY would catch calls to localhost


class Served:
    """A running command."""

    def __init__(self, process: subprocess.Popen, log: Path) -> None:
        self.process, self.log = process, log
        wait_until(lambda: STARTED.search(log.read_text()) or process.poll() is not None, 120)
        found = STARTED.search(log.read_text())
        assert found, log.read_text()
        self.models, self.scheme, self.port, self.rest = found[1], found[2], int(found[3]), found[4]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """`serve(*flags, **environment)` starts `hqmd serve`; it is ended with the test."""
    started: list[subprocess.Popen] = []

    def start(*flags: str, before: tuple[str, ...] = (), **environment: str) -> Served:
        log = tmp_path / f"log{len(started)}"
        with log.open("w") as file:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", "hqmd_cli", "serve", *flags],
                stderr=file,
                env={**os.environ, **environment},
                cwd=tmp_path,
            )
        started.append(process)
        return Served(process, log)

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(30)


def get(url: str, token: str = "", **more) -> bytes:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return NO_PROXY.open(urllib.request.Request(url, headers=headers), timeout=60, **more).read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_when_the_photo_in_work_is_answered(serve, number: int) -> None:
    served = serve(*SMALL)
    assert served.models == "hqmd-indoor-small" and served.rest == ""
    wire = Wire(served.port).post(picture_bytes(1500, 2000, "JPEG"))
    wait_until(lambda: b"photos_working 1" in get(f"http://127.0.0.1:{served.port}/metrics"))
    (worker,) = psutil.Process(served.process.pid).children()
    for each in (served.process, worker):  # as a terminal, or systemd, does
        each.send_signal(number)
    assert wire.answer()[0] == 200
    assert served.process.wait(60) == 0 and not worker.is_running()
    said = served.log.read_text()
    assert "stopping: finishing 1 photos first" in said and "/v1/depth 200" in said and "Traceback" not in said
    assert all(line.startswith("hqmd: ") for line in said.splitlines())  # nothing of ONNX Runtime or uvicorn


def test_a_second_signal_ends_it_at_once(serve) -> None:
    served = serve(*SMALL)
    wires = [Wire(served.port).post(picture_bytes(3000, 4000, "JPEG")) for _ in range(8)]
    wait_until(lambda: b"photos_working 1" in get(f"http://127.0.0.1:{served.port}/metrics"))
    served.process.send_signal(signal.SIGINT)
    wait_until(lambda: "photos first; Ctrl-C again" in served.log.read_text())
    (worker,) = psutil.Process(served.process.pid).children()
    assert served.stop(signal.SIGINT) == INTERRUPTED
    worker.wait(10)
    assert "ended before all photos were answered" in served.log.read_text()
    for wire in wires:
        wire.close()


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="only Linux has prlimit")
def test_a_large_form_where_no_folder_can_be_written(serve, tmp_path: Path) -> None:
    """40 MB, with every folder for temporary files missing: what is uploaded never touches the disk."""
    served = serve(*SMALL, "--quiet", TMPDIR="/proc/no", TEMP="/proc/no", TMP="/proc/no")
    before = {path for path in tmp_path.rglob("*")}
    photo = picture_bytes(3000, 4500, "PNG", compress_level=0)
    assert len(photo) > 40_000_000
    for process in (served.process, *psutil.Process(served.process.pid).children()):  # cannot write a byte to any file
        subprocess.run(("prlimit", f"--pid={process.pid}", "--fsize=0:0"), check=True)
    status, headers, body = Wire(served.port).post(form_of(photo), Content_Type=FORM["Content-Type"]).answer()
    assert status == 200 and headers["hqmd-size"] == "4500x3000" and body.startswith(b"\x89PNG")
    assert {path for path in tmp_path.rglob("*")} == before
    assert served.stop() == 0


def test_for_others_it_makes_a_token_and_with_a_certificate_it_speaks_tls(serve, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    served = serve(*SMALL, "--host", "0.0.0.0", "--tls-cert", str(cert), "--tls-key", str(key))
    assert served.scheme == "https" and served.rest.startswith("#token=")
    url, token = f"https://localhost:{served.port}", served.rest.removeprefix("#token=")
    trusting = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(cert))),
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        trusting.open(f"{url}/v1/models", timeout=60)
    assert refused.value.code == 401
    asked = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {token}"})
    assert json.loads(trusting.open(asked, timeout=60).read())["models"][0]["name"] == "hqmd-indoor-small"
    assert "clear text" not in served.log.read_text()


def test_in_clear_text_it_warns_and_takes_the_token_from_the_environment(serve) -> None:
    served = serve(*SMALL, "--host", "0.0.0.0", HQMD_TOKEN=TOKEN)
    assert served.rest == f"#token={TOKEN}" and "in clear text" in served.log.read_text()
    assert get(f"http://127.0.0.1:{served.port}/healthz") == b"ok\n"
    assert get(f"http://127.0.0.1:{served.port}/metrics", TOKEN)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--host", "0.0.0.0", "--token", "short"), "--token: 16 or more"),
        (("--tls-cert", "here.pem"), "give both, or neither"),
        (("--tls-cert", "here.pem", "--tls-key", "there.pem"), "here.pem: no such file"),
        (("--host", "203.0.113.7", "--token", TOKEN), "--host 203.0.113.7: cannot be listened on"),
        (("--allow-host", "https://x/"), "a name or an address"),
        (("--model", "nothing-of-this-name"), "nothing-of-this-name"),
    ],
)
def test_what_it_refuses_in_one_line(run_hqmd, flags: tuple[str, ...], words: str) -> None:
    done = run_hqmd("serve", "--port", "0", *flags)
    assert done.returncode == 1 and words in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_port_that_is_taken(run_hqmd) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_hqmd("serve", "--port", port)
    assert done.returncode == 1 and f"--port {port}: another program listens there" in done.stderr


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "python_multipart"])
def test_without_the_extra_it_says_how_to_install_it(package: str) -> None:
    there = f"import sys; sys.modules[{package!r}] = None; sys.argv = ['hqmd', 'serve']"
    code = f"{there}; from hqmd_cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == f"hqmd: hqmd serve needs {package}; {how_to_install(package)}\n"


def test_it_serves_without_torch() -> None:
    """As in hqmd-light with its extra."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'torchvision', 'timm', 'matplotlib', 'safetensors'])); "
        "sys.argv = ['hqmd', 'serve', '--port', '0']; from hqmd_cli.app import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert process.stderr
    found = STARTED.search(process.stderr.readline())
    assert found and found[1] == "hqmd-indoor, hqmd-indoor-small"
    assert Wire(int(found[3])).post(picture_bytes()).answer()[0] == 200
    assert b"<title>hqmd" in get(f"http://127.0.0.1:{found[3]}/")
    for path in re.findall(rb'(?:href|src)="([\w.]+)"', get(f"http://127.0.0.1:{found[3]}/")):
        assert get(f"http://127.0.0.1:{found[3]}/{path.decode()}")
    process.terminate()
    assert process.wait(60) == 0
