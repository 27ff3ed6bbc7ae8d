"""Deadlines for receiving a request, which uvicorn does not have: they belong into its protocol class.

A client that sends its headers or its photo byte by byte, or leaves its answer lying, would hold a connection for ever.
"""

import asyncio
from functools import cache
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hqmd_cli.serving.problems import content_of
from hqmd_cli.serving.settings import ServerSettings


@cache
def protocol_with(settings: ServerSettings) -> type[H11Protocol]:
    """Return the protocol class of a server with these settings."""
    return type("BoundProtocol", (DeadlineProtocol,), {"settings": settings})


class DeadlineProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a deadline for the headers, one for the body, and one for taking the answer."""

    settings: ServerSettings

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.receives = ""  # the part of a request that is awaited: "headers", "photo" or none
        self.deadline: asyncio.TimerHandle | None = None
        self.unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.settings.most_connections:
            self.end(503, "too many connections are open; try again later")
            return
        self.expect("headers")

    def connection_lost(self, exc: Exception | None) -> None:
        self.expect("")
        self.has_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE:
            self.expect("headers")
        super().data_received(data)
        self.look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.look()

    def look(self) -> None:
        """Arm the deadline of what is received now; one that runs for the same part goes on."""
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self.expect("photo")
        elif state is not h11.IDLE or not self.conn.trailing_data[0]:  # between requests, uvicorn's own limit counts
            self.expect("")

    def expect(self, part: str) -> None:
        """Give the client a time to send a part of its request."""
        if part == self.receives:
            return
        self.receives = part
        if self.deadline:
            self.deadline.cancel()
            self.deadline = None
        if part:
            seconds = self.settings.headers_s if part == "headers" else self.settings.body_s
            self.deadline = self.loop.call_later(seconds, self.too_slow, part, seconds)

    def too_slow(self, part: str, seconds: float) -> None:
        """End a connection whose request did not come in time."""
        self.end(408, f"the {part} did not arrive within {seconds:g} s")

    def end(self, status: int, detail: str) -> None:
        """Answer and close, unless an answer has begun; then only close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.is_closing():
            content = content_of(status, detail)
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                f"content-type: application/problem+json\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + content)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self.end(400, "this is not HTTP/1.1 that can be read, or its headers are larger than 16 kB")

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread = self.loop.call_later(self.settings.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.has_read()

    def has_read(self) -> None:
        """Stop waiting for the client to take its answer."""
        if self.unread:
            self.unread.cancel()
            self.unread = None
