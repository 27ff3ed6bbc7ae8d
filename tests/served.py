"""Servers for tests: tiny models, and a real uvicorn in a thread, spoken to in bytes."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from hqmd_cli.inference.open import OpenModel
from hqmd_cli.inference.uncertainty import Uncertainty
from hqmd_cli.serving.application import Service
from hqmd_cli.serving.depth import Answer, depth_of
from hqmd_cli.serving.server import DrainingServer, server_for, sockets_for
from hqmd_cli.serving.settings import ServerSettings
from hqmd_cli.serving.uploads import Upload
from hqmd_cli.serving.wishes import Wish

STARTED = re.compile(r"serving (.*) at (https?)://\S+?:(\d+)/(\S*)")  # what the command prints
TOKEN = "a-token-of-a-test-0123"


def slope(rgb: np.ndarray) -> np.ndarray:
    """Depth from 2 m at the left to 2.3 m at the right, and a step in the middle rows."""
    height, width = rgb.shape[:2]
    depth_m = np.broadcast_to(np.linspace(2, 2.3, width, dtype=np.float32), (height, width)).copy()
    depth_m[height // 2 :] *= np.float32(1.25)
    return depth_m


def tiny_model(name: str = "tiny", predict: Any = slope, **more: Any) -> OpenModel:
    """A model that computes nothing."""
    return OpenModel(name, predict, "a test", "fp32", lambda: "", follows_camera=True, **more)


def sure_model() -> OpenModel:
    """A model that knows how sure it is."""
    return tiny_model("sure", surely=lambda rgb: (slope(rgb), Uncertainty(0.1, np.full((4, 4), 0.05, np.float32))))


class Here:
    """A Worker in this process."""

    is_ready = True

    def __init__(self, *models: OpenModel) -> None:
        self.models = {model.name: model for model in models}

    def __call__(self, asked: tuple[Upload, Wish]) -> Answer:
        return depth_of(*asked, self.models)


def service(*models: OpenModel, **settings: Any) -> Service:
    """The application with these models."""
    worker = Here(*models or (tiny_model(),))
    return Service(worker.models, worker, ServerSettings(**settings))  # type: ignore[arg-type]


def client(*models: OpenModel, base_url: str = "http://localhost:8350", **settings: Any) -> TestClient:
    """A client of the application, without a network."""
    return TestClient(service(*models, **settings), base_url=base_url)


def picture_bytes(height: int = 24, width: int = 40, form: str = "PNG", **how: Any) -> bytes:
    """A picture of noise, which no format makes small."""
    file = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, form, **how)
    return file.getvalue()


def form_of(content: bytes, name: str = "photo.jpg", boundary: str = "BOUND", field: str = "photo") -> bytes:
    """A multipart form with one file."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    return f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()


FORM = {"Content-Type": "multipart/form-data; boundary=BOUND"}


@contextmanager
def running(*models: OpenModel, **settings: Any) -> Iterator[DrainingServer]:
    """A server in a thread, on a port that is free; `server.port` is its number."""
    served = service(*models, **{"port": 0, **settings})
    server = server_for(served, lambda line: None)
    sockets = sockets_for(served.settings)
    server.port = sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    server.service = served  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def wait_until(true: Any, seconds: float = 20) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


class Wire:
    """A connection, byte by byte."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)

    def send(self, content: bytes) -> "Wire":
        self.socket.sendall(content)
        return self

    def post(self, body: bytes = b"", path: str = "/v1/depth", length: int | None = None, **headers: str) -> "Wire":
        """Send a POST whose Content-Length may say more than follows."""
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            f"Content-Length: {len(body) if length is None else length}",
        ]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one response: status, headers, body."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self.socket.recv(65_536)
            if not piece:
                return 0, {}, received
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        pieces, left = [body], int(headers.get("content-length", 0)) - len(body)
        while left > 0 and (piece := self.socket.recv(65_536)):
            pieces.append(piece)
            left -= len(piece)
        return int(first.split()[1]), headers, b"".join(pieces)

    def problem(self) -> tuple[int, str]:
        """Read one response that is a problem: status and detail."""
        status, headers, body = self.answer()
        assert headers["content-type"] == "application/problem+json"
        told = json.loads(body)
        assert told["status"] == status
        return status, told["detail"]

    def is_closed(self) -> bool:
        """True once the server has closed the connection; waits for it."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()
