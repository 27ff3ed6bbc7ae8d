"""A real server: the line, deadlines, limits while receiving, and stopping in order. Spoken to in bytes."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from starlette.datastructures import QueryParams

from hqmd_cli.serving.server import sockets_for
from hqmd_cli.serving.settings import ServerSettings
from hqmd_cli.serving.uploads import Upload
from hqmd_cli.serving.wishes import wish_of
from served import FORM, TOKEN, Wire, client, form_of, picture_bytes, running, slope, tiny_model, wait_until

PHOTO = picture_bytes()


class Gate:
    """A model that computes when it is let to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.at_once = self.most_at_once = self.computed = 0

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.open.wait(30)
        self.at_once -= 1
        self.computed += 1
        return slope(rgb)


def test_a_full_line_answers_at_once_and_the_others_get_their_depth() -> None:
    gate = Gate()
    with running(tiny_model(predict=gate)) as server:
        line = server.service.line
        wires = []
        for number in range(1 + line.most_waiting):
            wires.append(Wire(server.port).post(PHOTO))
            wait_until(lambda count=number + 1: line.working + line.waiting == count)
        refused = Wire(server.port).post(PHOTO)
        status, headers, _ = refused.answer()
        assert status == 429 and int(headers["retry-after"]) >= 1
        began = time.monotonic()
        probe = Wire(server.port).send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").answer()
        assert probe[0] == 200 and time.monotonic() - began < 1
        gate.open.set()
        assert [wire.answer()[0] for wire in wires] == [200] * len(wires)
        assert gate.most_at_once == 1  # one inference at a time
        assert server.service.room.taken == 0


def test_who_leaves_the_line_gives_its_place_away() -> None:
    gate = Gate()
    with running(tiny_model(predict=gate)) as server:
        line = server.service.line
        wires = [Wire(server.port).post(PHOTO)]
        wait_until(lambda: line.working == 1)
        leaver = Wire(server.port).post(PHOTO)
        wait_until(lambda: line.waiting == 1)
        leaver.close()
        wait_until(lambda: line.waiting == 0)
        gate.open.set()
        assert wires[0].answer()[0] == 200 and gate.computed == 1


def test_a_stopping_server_finishes_what_it_took_and_refuses_more() -> None:
    gate = Gate()
    with running(tiny_model(predict=gate)) as server:
        line = server.service.line
        wires = [Wire(server.port).post(PHOTO) for _ in range(3)]
        wait_until(lambda: line.working + line.waiting == len(wires))
        server.handle_exit(15, None)
        late = Wire(server.port).post(PHOTO).problem()
        assert late[0] == 503 and "stopping" in late[1]
        assert Wire(server.port).send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").answer()[0] == 503
        assert Wire(server.port).send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").answer()[0] == 200
        gate.open.set()
        assert [wire.answer()[0] for wire in wires] == [200] * len(wires)


def test_200_parallel_uploads_all_get_an_answer() -> None:
    def slow(rgb: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        return slope(rgb)

    def ask(number: int) -> int:
        return Wire(server.port).post(form_of(PHOTO), **{"Content_Type": FORM["Content-Type"]}).answer()[0]

    with running(tiny_model(predict=slow)) as server, ThreadPoolExecutor(200) as pool:
        statuses = list(pool.map(ask, range(200)))
    assert set(statuses) <= {200, 429} and statuses.count(200) >= 10 and len(statuses) == 200


@pytest.mark.slow
def test_slow_headers() -> None:
    with running(headers_s=0.5) as server:
        began = time.monotonic()
        silent, slow = Wire(server.port), Wire(server.port).send(b"POST /v1/depth HTTP/1.1\r\n")
        for _ in range(30):
            time.sleep(0.05)
            try:
                slow.send(b"X-A: b\r\n")
            except OSError:
                break
        assert 0.4 < time.monotonic() - began < 1.4  # each byte does not begin the time anew
        assert silent.problem() == (408, "the headers did not arrive within 0.5 s") and silent.is_closed()


@pytest.mark.slow
def test_slow_headers_of_a_second_request() -> None:
    with running(headers_s=0.5) as server:
        wire = Wire(server.port).send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.answer()[0] == 200
        wire.send(b"GET /healthz HT")
        assert wire.problem()[0] == 408 and wire.is_closed()


@pytest.mark.slow
def test_slow_body() -> None:
    with running(body_s=0.6) as server:
        began = time.monotonic()
        wire = Wire(server.port).post(PHOTO[:100], length=len(PHOTO))
        for _ in range(30):
            time.sleep(0.1)
            try:
                wire.send(b"x")
            except OSError:
                break
        assert time.monotonic() - began < 2
        still = Wire(server.port).post(PHOTO[:100], length=len(PHOTO))
        assert still.problem() == (408, "the photo did not arrive within 0.6 s") and still.is_closed()
        wait_until(lambda: server.service.room.taken == 0)
        assert Wire(server.port).post(PHOTO).answer()[0] == 200


@pytest.mark.slow
def test_an_idle_connection_is_closed_and_a_photo_in_work_is_not() -> None:
    """The deadlines are for receiving; a photo may wait and be computed for longer."""
    gate = Gate()
    with running(tiny_model(predict=gate), headers_s=0.3, body_s=0.3) as server:
        wire = Wire(server.port).post(PHOTO)
        time.sleep(1)
        gate.open.set()
        assert wire.answer()[0] == 200
        assert wire.is_closed()  # uvicorn's limit of 5 s for a connection without a request


@pytest.mark.slow
def test_an_answer_that_nobody_takes() -> None:
    with running(send_s=0.5) as server:
        wire = Wire(server.port)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.post(picture_bytes(1500, 1500, "JPEG", quality=10), path="/v1/depth?format=npy")
        wait_until(lambda: server.service.metrics.count == 1)
        wait_until(lambda: not server.server_state.connections, 10)


def test_an_announced_length_is_refused_before_it_arrives() -> None:
    with running(most_bytes=1000) as server:
        wire = Wire(server.port).post(b"", length=10**9, Expect="100-continue")
        assert wire.problem()[0] == 413
        wire = Wire(server.port).send(
            b"POST /v1/depth HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        wire.send(b"7d0\r\n" + bytes(2000) + b"\r\n0\r\n\r\n")
        assert wire.problem()[0] == 413


def test_all_uploads_together_are_bounded() -> None:
    with running(most_bytes=10_000, most_bytes_together=15_000) as server:
        first = Wire(server.port).post(bytes(9000), length=10_000)
        wait_until(lambda: server.service.room.taken == 9000)
        second = Wire(server.port).post(bytes(9000), length=10_000)
        assert second.problem()[0] == 429
        first.close()
        wait_until(lambda: server.service.room.taken == 0)


@pytest.mark.parametrize(
    "request_line",
    [b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"X" * 20_000],
)
def test_what_is_no_http(request_line: bytes) -> None:
    with running() as server:
        assert Wire(server.port).send(request_line).problem()[0] == 400


def test_too_many_connections() -> None:
    with running(most_connections=3) as server:
        wires = [Wire(server.port) for _ in range(3)]
        wait_until(lambda: len(server.server_state.connections) == 3)
        assert Wire(server.port).problem()[0] == 503
        for wire in wires:
            wire.close()
        wait_until(lambda: not server.server_state.connections)
        assert Wire(server.port).post(PHOTO).answer()[0] == 200


def test_both_loopbacks_answer() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with running() as server:
        try:
            six = socket.create_connection(("::1", server.port), timeout=10)
        except OSError:
            pytest.skip("no IPv6 loopback here")
        six.sendall(f"GET /v1/models HTTP/1.1\r\nHost: [::1]:{server.port}\r\n\r\n".encode())
        assert six.recv(15).startswith(b"HTTP/1.1 200")
        six.close()
        assert Wire(server.port).send(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").answer()[0] == 200
    with running(host="::1") as server:
        assert server.service.settings.url(server.port) == f"http://[::1]:{server.port}/"


def test_every_address_of_a_name_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first one is not of this machine, or comes twice."""
    known = socket.getaddrinfo
    addresses = ("203.0.113.7", "127.0.0.1", "127.0.0.1", "127.0.0.2")

    def several(host: str, *more, **how) -> list:
        return [known(each, *more, **how)[0] for each in addresses]

    monkeypatch.setattr("socket.getaddrinfo", several)
    sockets = sockets_for(ServerSettings(host="localhost", port=0))
    try:
        assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.1", "127.0.0.2"]
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        for sock in sockets:
            sock.close()


def test_a_large_answer_leaves_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """To copy or free all of it in one step would keep everybody else waiting."""
    monkeypatch.setattr("hqmd_cli.serving.depth.PIECE", 1000)
    with client() as asked:
        service = asked.app
        done = service.worker((Upload(BytesIO(PHOTO), ""), wish_of(QueryParams("format=npy"), "", service.models)))
        service.worker = lambda given: done
        answer = asked.post("/v1/depth?format=npy", content=PHOTO)
    assert np.load(BytesIO(answer.content)).shape == (24, 40) and answer.headers["content-length"] == "3968"
    assert done.pieces == []


def test_a_token_is_asked_for_before_a_photo_is_received() -> None:
    with running(token=TOKEN) as server:
        wire = Wire(server.port).post(b"", length=40_000_000, Expect="100-continue")
        assert wire.problem()[0] == 401
