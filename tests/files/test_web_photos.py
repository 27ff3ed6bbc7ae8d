"""Photos from the web: within limits, and from public addresses only."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.files import web_photos
from hqmd_cli.files.web_address import is_web_address, name_of
from hqmd_cli.files.web_photos import fetch_photo, is_public


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        where = {
            "/twice": "/photo.jpg",
            "/round": "/round",
            "/file": "file:///etc/passwd",
            "/inside": "http://inside/x",
        }
        if self.path in where:
            self.send_response(302)
            self.send_header("Location", where[self.path])
            self.end_headers()
            return
        if self.path == "/drop":  # its headers come byte by byte, for ever
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not threading.Event().wait(0.05):
                self.wfile.write(b"x")
        self.send_response(404 if self.path == "/gone" else 200)
        if self.path == "/cut":
            self.send_header("Content-Length", "100")
        self.end_headers()
        if self.path == "/slow":
            threading.Event().wait(1)
        self.wfile.write(b"x" * (3000 if self.path == "/large" else 20))

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client had enough
            super().handle()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server in this process."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_photo_comes_also_after_a_redirect(server: str) -> None:
    for path in ("/photo.jpg", "/twice"):
        assert fetch_photo(server + path, allow_private=True) == b"x" * 20


FAULTS = {"/gone": "answers 404", "/round": "leads on more than 5 times", "/file": "leads to file:///etc/passwd"}
FAULTS |= {"/cut": "closed early", "/large": "larger than", "/slow": "not there within", "/drop": "not there within"}


@pytest.mark.slow
@pytest.mark.parametrize(("path", "why"), FAULTS.items())
def test_what_is_no_photo_within_the_limits(server: str, monkeypatch: pytest.MonkeyPatch, path: str, why: str) -> None:
    monkeypatch.setattr(web_photos, "MOST_BYTES", 2000)
    monkeypatch.setattr(web_photos, "LONGEST_S", 0.5)
    with pytest.raises(HqmdError, match=why) as error:
        fetch_photo(server + path, allow_private=True)
    assert str(error.value).startswith(server + path)


def test_no_private_address_at_first_nor_later(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HqmdError, match=r"127\.0\.0\.1 is no public address; --allow-private"):
        fetch_photo(server + "/photo.jpg")
    port = int(server.rpartition(":")[2])
    there = {"inside": "10.0.0.7", "127.0.0.1": "127.0.0.1", "two.example": "127.0.0.1"}

    def resolve(host: str, *_: object, **__: object) -> list:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (there[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(web_photos, "is_public", lambda address: address == "127.0.0.1")
    with pytest.raises(HqmdError, match=r"inside is 10\.0\.0\.7, no public address"):
        fetch_photo(server + "/inside")


NOT_PUBLIC = "127.0.0.1 10.1.2.3 192.168.0.1 169.254.169.254 0.0.0.0 224.0.0.1 100.64.0.1 192.0.0.8"

NOT_PUBLIC_6 = "::1 fe80::1%eth0 fd00::1 ::ffff:127.0.0.1 2002:7f00:1:: 64:ff9b::a00:1 64:ff9b:1::1"


@pytest.mark.parametrize("address", [*NOT_PUBLIC.split(), *NOT_PUBLIC_6.split()])
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_addresses_and_names() -> None:
    assert is_public("8.8.8.8") and is_public("2606:4700:4700::1111")
    assert is_web_address("HTTPS://a.example/b") and not is_web_address("ftp://a/b") and not is_web_address("http.jpg")
    for url, name in {
        "http://a/b/c%20d.jpg?x=/y.png#z": "c d.jpg",
        "https://a": "photo",
        "http://[x": "photo",
        "https://a/..": "photo",
        "https://a/b%2F..%2F.c": "c",
        "https://a/%00%0a.jpg": "__.jpg",
    }.items():
        assert name_of(url) == name
    with pytest.raises(HqmdError, match="a name and a password"):
        fetch_photo("http://me:secret@a.example/x")


@pytest.mark.parametrize("address", ["http://anna:sesame@127.0.0.1:9/a.jpg", "HTTPS://sesame@photos.example/a.jpg"])
def test_a_password_in_an_address_is_neither_shown_nor_recorded(hqmd, trained_run, tmp_path, address):
    out = tmp_path / "out"
    (tmp_path / "b.txt").write_text("no photo")
    done = hqmd("predict", address, tmp_path / "b.txt", "-o", out, "--model", trained_run / "best", "--format", "npy")
    written = "".join(path.read_text(encoding="utf-8") for path in out.glob("*.jsonl"))
    assert done.returncode == 1 and "://***@" in done.stderr
    assert "sesame" not in done.stderr + done.stdout + written
