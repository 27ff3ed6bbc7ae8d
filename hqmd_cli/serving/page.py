"""The files of the page, read once when the server starts: a request names one of them or nothing.

Browsers ask each time whether a file has changed, so that after an upgrade no old script runs on the new page.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parents[1] / "page"
START = "serve.html"
MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


class PageFile(NamedTuple):
    """A file of the page."""

    content: bytes
    media_type: str
    tag: str  # changes with the content


def files() -> dict[str, PageFile]:
    """Return the files of the page by their paths in an address."""
    found = {
        f"/{path.name}": PageFile(content, MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        for path in sorted(FOLDER.iterdir())
        if path.suffix in MEDIA_TYPES and (content := path.read_bytes())
    }
    return {"/": found.pop(f"/{START}"), **found}


async def send(file: PageFile, request: Request) -> Response:
    """Send a file, or say that the browser has it."""
    headers = {"Cache-Control": "no-cache", "ETag": file.tag}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
