"""A server of one file on this machine that fails as servers do.

with FileServer(content, [breaks_off(1000), no_parts, refuses]) as server:
    ...  # server.url; the requests are answered by these in turn, and by `whole` after them
"""

import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class FileServer:
    """Serves `content`; `ranges` has what was asked for."""

    def __init__(self, content: bytes, answers: Sequence["Answer"] = ()) -> None:
        self.content, self.answers = content, list(answers)
        self.ranges: list[str | None] = []
        handler = type("Handler", (Handler,), {"files": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/nyu_depth_v2_labeled.mat"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    files: FileServer

    def do_GET(self) -> None:
        self.files.ranges.append(self.headers.get("Range"))
        answer = self.files.answers.pop(0) if self.files.answers else whole
        answer(self, self.files.content, self.begin())

    def begin(self) -> int:
        """Where the wanted part begins."""
        return int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def send(self, status: int, body: bytes, **headers: object) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the tests' stderr."""


Answer = Callable[[Handler, bytes, int], None]


def whole(request: Handler, content: bytes, begin: int) -> None:
    """As it should be: from the byte asked for to the end; 416 where there is none."""
    if begin >= len(content):
        request.send(416, b"", Content_Range=f"bytes */{len(content)}")
    elif request.headers.get("Range"):
        place = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        request.send(206, content[begin:], Content_Range=place)
    else:
        request.send(200, content)


def breaks_off(after: int) -> Answer:
    """Promises all that is missing, and closes the connection after so many bytes."""

    def answer(request: Handler, content: bytes, begin: int) -> None:
        rest = content[begin : begin + after]
        place = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        length = len(content) - begin
        if request.headers.get("Range"):
            request.send(206, rest, Content_Range=place, Content_Length=length)
        else:
            request.send(200, rest, Content_Length=length)

    return answer


def no_parts(request: Handler, content: bytes, begin: int) -> None:
    """Takes no notice of the range."""
    request.send(200, content)


def refuses(request: Handler, content: bytes, begin: int) -> None:
    """416, of the right file."""
    request.send(416, b"", Content_Range=f"bytes */{len(content)}")


def fails(status: int) -> Answer:
    """An error, with a page that explains it."""
    return lambda request, content, begin: request.send(status, b"<html>sorry</html>")


def hangs_up(request: Handler, content: bytes, begin: int) -> None:
    """Closes the connection without a word."""
    request.close_connection = True


def elsewhere(begin_at: int) -> Answer:
    """A part that begins at another byte than was asked for."""

    def answer(request: Handler, content: bytes, begin: int) -> None:
        place = f"bytes {begin_at}-{len(content) - 1}/{len(content)}"
        request.send(206, content[begin_at:], Content_Range=place)

    return answer
