"""Errors as problem+json (RFC 9457), each a status and one sentence."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from hqmd_cli.errors import HqmdError, printable

FLAG = re.compile(r"--([a-z]+(?:-[a-z]+)*)")  # of the command line


class Problem(HqmdError):
    """What a client asked for cannot be done. The text says why, and what to do."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.detail, self.headers = status, detail, dict(headers or {})
        super().__init__(status, detail, self.headers)  # as pickle makes it again


def in_query(text: str) -> str:
    """Write the flags in a message of the command line as the parameters of a query: --scale-from as scale_from."""
    return FLAG.sub(lambda flag: flag[1].replace("-", "_"), text)


def content_of(status: int, detail: str) -> bytes:
    """Return the JSON of a problem, on one line of ASCII."""
    title = HTTPStatus(status).phrase
    return json.dumps({"title": title, "status": status, "detail": printable(" ".join(detail.split()))}).encode("ascii")


def answer(problem: Problem) -> Response:
    """Return the response for a problem."""
    content = content_of(problem.status, problem.detail)
    return Response(content, problem.status, problem.headers, media_type="application/problem+json")
