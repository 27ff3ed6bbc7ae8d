"""As much of the Hugging Face hub as snapshot_download talks to, on this machine: no test needs the network.

    with HubServer({("org/name", "main"): folder}) as hub:
        ...  # HF_ENDPOINT=hub.endpoint

A model is a folder a revision. Only models, only files small enough to be served whole.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit


class HubServer:
    """Serves {(repo, revision): folder}. Counts what was asked for in `requests`."""

    def __init__(self, models: Mapping[tuple[str, str], Path]) -> None:
        self.models = dict(models)
        self.requests: list[str] = []  # "GET /api/models/org/name/revision/main"
        handler = type("Handler", (HubHandler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def find(self, repo: str, revision: str) -> tuple[str, Path] | None:
        """(commit, folder) of a revision, which may be given by its commit, as the client does on its way."""
        for (name, branch), folder in self.models.items():
            if name == repo and revision in (branch, commit := commit_of(name, branch)):
                return commit, folder
        return None


def commit_of(repo: str, revision: str) -> str:
    """Any 40 hexadecimal digits will do, as long as they are the revision's own."""
    return hashlib.sha1(f"{repo}@{revision}".encode()).hexdigest()


def blob_of(content: bytes) -> str:
    """Git's id of a file, which the hub gives as its ETag."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HubHandler(BaseHTTPRequestHandler):
    """One request."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        match parts:
            case ["api", "models", org, name]:
                self.answer(f"{org}/{name}", "main", self.send_info)
            case ["api", "models", org, name, "revision", revision]:
                self.answer(f"{org}/{name}", revision, self.send_info)
            case ["api", "models", org, name, "tree", revision]:
                self.answer(f"{org}/{name}", revision, self.send_tree)
            case [org, name, "resolve", revision, *file]:
                self.answer(f"{org}/{name}", revision, self.send_file, "/".join(file))
            case _:
                self.send(404, b"", {"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET  # `send` leaves the body out

    def answer(self, repo: str, revision: str, reply: Any, *more: str) -> None:
        """Let `reply` answer for a revision that exists; the hub's own 404 for one that does not."""
        if found := self.hub.find(repo, revision):
            reply(repo, *found, *more)
        else:
            known = any(name == repo for name, _ in self.hub.models)
            self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})

    def send_info(self, repo: str, commit: str, folder: Path) -> None:
        siblings = [{"rfilename": path} for path in files_below(folder)]  # what older clients list by
        info = {"id": repo, "modelId": repo, "sha": commit, "private": False, "tags": [], "siblings": siblings}
        self.send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def send_tree(self, repo: str, commit: str, folder: Path) -> None:
        tree = [
            {"type": "file", "path": path, "size": len(content), "oid": blob_of(content)}
            for path, content in files_below(folder).items()
        ]
        self.send(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})

    def send_file(self, repo: str, commit: str, folder: Path, path: str) -> None:
        content = files_below(folder).get(path)
        if content is None:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            self.send(200, content, {"ETag": f'"{blob_of(content)}"', "X-Repo-Commit": commit})

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the tests' stderr; `requests` has it."""


def files_below(folder: Path) -> dict[str, bytes]:
    """Path with slashes -> content. Looking up only what is listed keeps `..` out."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
