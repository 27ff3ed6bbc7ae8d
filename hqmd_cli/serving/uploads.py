"""Receive a photo into memory: raw bytes or a form, bounded while they arrive, and never on the disk.

Starlette's own forms spool parts of more than 1 MB to the disk, so this parses them itself.
"""

import logging
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from hqmd_cli.serving.line import Gone
from hqmd_cli.serving.problems import Problem
from hqmd_cli.serving.settings import ServerSettings

FORM, URL_FORM = "multipart/form-data", "application/x-www-form-urlencoded"
FORM_BYTES = 65_536  # of a form, beside the photo
LONGEST_HEADER = 4096  # bytes, of a part of a form
MANGLED = frozenset(b"\0\n\r")  # what `curl -d @FILE` leaves out, and no photo is without
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it would quote what was sent


class Upload(NamedTuple):
    """A photo as it was sent."""

    content: BytesIO
    name: str  # of its file, as the client gave it; empty if it did not


class Room:
    """The memory for photos that are being received or wait: of each, and of all together."""

    def __init__(self, settings: ServerSettings) -> None:
        self.most, self.most_together = settings.most_bytes, settings.most_bytes_together
        self.taken = 0

    def take(self, size: int) -> None:
        """Take room for more bytes. Raises Problem if there is none."""
        if self.taken + size > self.most_together:
            raise Problem(429, "too many photos arrive at once; try again later", {"Retry-After": "2"})
        self.taken += size


class Hold:
    """The room of one request, which is given back at the end of the `with`."""

    def __init__(self, room: Room) -> None:
        self.room, self.size = room, 0

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *error: object) -> None:
        self.room.taken -= self.size

    def grow(self, size: int, most: int) -> None:
        """Take room for more bytes of this request. Raises Problem beyond `most` in all."""
        if self.size + size > most:
            raise Problem(
                413, f"more than the {self.room.most / 1e6:.0f} MB that a photo may have; send a smaller JPEG"
            )
        self.room.take(size)
        self.size += size


async def receive(request: Request, hold: Hold) -> Upload:
    """Receive the photo of a request. Raises Problem for what is no single photo, or too large, and Gone."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    media = kind.decode("latin-1")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Problem(415, "a compressed request is not read; photos are compressed already")
    most = hold.room.most + (FORM_BYTES if media == FORM else 0)
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > most:
        hold.grow(int(announced), most)
    if media == FORM:
        return await from_form(pieces(request, hold, most), options.get(b"boundary", b""))
    content = BytesIO()
    async for piece in pieces(request, hold, most):
        content.write(piece)
    if not hold.size:
        raise Problem(400, "no photo: send its bytes, such as with curl --data-binary @photo.jpg")
    if media == URL_FORM and not MANGLED & set(content.getbuffer()[:FORM_BYTES]):
        raise Problem(415, "curl -d leaves out bytes of a photo; use --data-binary @photo.jpg, or -F photo=@photo.jpg")
    return Upload(content, "")


async def pieces(request: Request, hold: Hold, most: int) -> AsyncIterator[bytes]:
    """Yield what arrives, as long as there is room for it."""
    try:
        async for piece in request.stream():
            if piece:
                hold.grow(len(piece), most)
                yield piece
    except ClientDisconnect:
        raise Gone from None


async def from_form(arriving: AsyncIterator[bytes], boundary: bytes) -> Upload:
    """Receive the only file of a form. Raises Problem for a form that has others, or fields, or cannot be read."""
    form = PhotoForm()
    try:
        if not boundary:
            raise FormParserError("no boundary")
        parser = MultipartParser(boundary, form.callbacks())
        async for piece in arriving:
            parser.write(piece)
    except FormParserError:
        raise Problem(400, "this multipart/form-data cannot be read; send it with curl -F photo=@photo.jpg") from None
    if not form.is_whole:
        raise Problem(400, "the multipart/form-data ends too early; send it again")
    if form.content is None:
        raise Problem(422, "no photo in the form: it needs one file, such as with curl -F photo=@photo.jpg")
    if not form.content.tell():
        raise Problem(400, "the photo in the form has no bytes; send it again")
    return Upload(form.content, form.name)


class PhotoForm:
    """Takes in the parts of a form: one file, and nothing else."""

    def __init__(self) -> None:
        self.content: BytesIO | None = None
        self.name = ""
        self.is_whole = False
        self.field = self.value = b""

    def callbacks(self) -> Any:
        """Return what the parser calls."""
        return {
            "on_part_begin": self.begin_part,
            "on_header_field": self.take_field,
            "on_header_value": self.take_value,
            "on_header_end": self.end_header,
            "on_headers_finished": self.begin_content,
            "on_part_data": self.take,
            "on_end": self.end,
        }

    def begin_part(self) -> None:
        """Begin a part."""
        self.disposition = self.field = self.value = b""

    def take_field(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's name."""
        self.field += data[start:end]

    def take_value(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's value."""
        self.value += data[start:end]
        if len(self.value) > LONGEST_HEADER:
            raise FormParserError("a header is too long")

    def end_header(self) -> None:
        """Keep the header that names the part."""
        if self.field.lower() == b"content-disposition":
            self.disposition = self.value
        self.field = self.value = b""

    def begin_content(self) -> None:
        """Begin the content of a part. Raises Problem unless it is the first file."""
        _, options = parse_options_header(self.disposition)
        if b"filename" not in options:
            raise Problem(422, "the form has a field beside the photo; options go into the query, such as ?format=npy")
        if self.content is not None:
            raise Problem(422, "the form has several files; send one photo at a time")
        self.name = options[b"filename"].decode("utf-8", "replace")
        self.content = BytesIO()

    def take(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of the photo."""
        assert self.content is not None
        self.content.write(memoryview(data)[start:end])

    def end(self) -> None:
        """Note that the form is whole."""
        self.is_whole = True
