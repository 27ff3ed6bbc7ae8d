"""As much of the Hugging Face hub as snapshot_download and create_commit talk to, on this machine: no network.

    with HubServer({("org/name", "main"): folder}) as hub:
        ...  # HF_ENDPOINT=hub.endpoint

    with HubServer({}, store=tmp_path, users={"hf_token": {"name": "org"}}) as hub:
        ...  # and HF_TOKEN=hf_token, HF_HUB_DISABLE_XET=1: uploads by Git LFS

A model is a folder a revision. Only models, only files small enough to be served whole. What is uploaded goes to main;
files that Git is not to keep (the larger ones, and those of weights) have to come as LFS objects, as on the hub.
"""

import base64
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import hqmd_cli

# Tokens, and what the hub answers when it is asked whose they are.
USERS = {
    "hf_writer": {"name": "me", "orgs": [{"name": "org"}], "auth": {"accessToken": {"role": "write"}}},
    "hf_reader": {"name": "me", "orgs": [], "auth": {"accessToken": {"role": "read"}}},
    "hf_fine": {"name": "me", "orgs": [], "auth": {"accessToken": {"role": "fineGrained"}}},
}


def environment(endpoint: str, home: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a process that talks to the hub at `endpoint`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    env |= {"PYTHONPATH": str(Path(hqmd_cli.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return env | settings


class HubServer:
    """Serves {(repo, revision): folder}. Counts what was asked for in `requests`.

    users: token -> what whoami says of its user. They may write to repositories of their name and of their `orgs`,
    which are folders of `store`.
    """

    def __init__(
        self,
        models: Mapping[tuple[str, str], Path],
        store: Path | None = None,
        users: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.models = dict(models)
        self.store, self.users = store, dict(users or {})
        self.private: dict[str, bool] = {}  # of what was created here
        self.objects: dict[str, bytes] = {}  # LFS: SHA-256 -> content
        self.commits: list[tuple[str, str]] = []  # (repo, message), in order
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
            if name == repo and revision in (branch, commit := self.commit_of(name, branch)):
                return commit, folder
        return None

    def commit_of(self, repo: str, branch: str) -> str:
        """Another one after each upload."""
        uploads = sum(name == repo for name, _ in self.commits)
        return commit_of(repo, f"{branch}+{uploads}" if uploads else branch)


def commit_of(repo: str, revision: str) -> str:
    """Any 40 hexadecimal digits will do, as long as they are the revision's own; a commit is its own."""
    if len(revision) == 40 and set(revision) <= set("0123456789abcdef"):
        return revision
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
            case ["api", "whoami-v2"]:
                if user := self.user():
                    self.send_json(user)
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

    def do_POST(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]:
            case ["api", "validate-yaml"]:
                text = json.loads(body)["content"]
                errors = [] if text.startswith("---\n") else [{"message": "no metadata"}]
                self.send_json({"errors": errors, "warnings": []})
            case ["api", "repos", "create"]:
                wish = json.loads(body)
                if self.may_write(wish["organization"]):
                    self.create(f"{wish['organization']}/{wish['name']}", wish)
            case ["api", "models", org, name, "preupload", "main"]:
                if self.may_write(org):
                    self.send_json({"files": [upload_mode(file) for file in json.loads(body)["files"]]})
            case [org, name, "info", "lfs", "objects", "batch"] if name.endswith(".git"):
                if self.may_write(org):
                    self.send_json(
                        {"transfer": "basic", "objects": list(map(self.place_of, json.loads(body)["objects"]))}
                    )
            case ["api", "models", org, name, "commit", "main"]:
                if self.may_write(org):
                    self.commit(f"{org}/{name}", [json.loads(line) for line in body.splitlines()])
            case _:
                self.send(404, b"", {"X-Error-Code": "EntryNotFound"})

    def do_PUT(self) -> None:
        """An LFS object, at the address that the batch gave."""
        self.hub.requests.append(f"{self.command} {self.path}")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = self.path.rpartition("/")[2]
        if hashlib.sha256(content).hexdigest() == wanted:
            self.hub.objects[wanted] = content
        self.send(200 if wanted in self.hub.objects else 400, b"", {})

    def user(self) -> Mapping[str, Any] | None:
        """Whose token came along; for an unknown one 401 is sent."""
        user = self.hub.users.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if user is None:
            self.send(401, b'{"error": "Invalid credentials"}', {"Content-Type": "application/json"})
        return user

    def may_write(self, org: str) -> bool:
        """Whether the request's token has the right; if not, 401 or 403 is sent."""
        user = self.user()
        allowed = user is not None and org in [user["name"], *(there["name"] for there in user.get("orgs", []))]
        if user is not None and not allowed:
            self.send(403, b'{"error": "You don\'t have the rights"}', {"Content-Type": "application/json"})
        return allowed

    def create(self, repo: str, wish: Mapping[str, Any]) -> None:
        """An empty repository, or 409 where it is there."""
        url = f"{self.hub.endpoint}/{repo}"
        if (repo, "main") in self.hub.models:
            self.send_json({"error": "You already created this model repo", "url": url}, 409)
            return
        assert self.hub.store is not None
        folder = self.hub.store / repo
        folder.mkdir(parents=True)
        self.hub.models[repo, "main"] = folder
        self.hub.private[repo] = bool(wish.get("private") or wish.get("visibility") == "private")
        self.send_json({"url": url, "name": repo})

    def place_of(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Where to put an LFS object; nowhere if it is here."""
        here = wanted["oid"] in self.hub.objects
        href = f"{self.hub.endpoint}/lfs/{wanted['oid']}"
        return {**wanted, **({} if here else {"actions": {"upload": {"href": href}}})}

    def commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        """All changes of a commit, or none: 400 where an LFS object is missing."""
        changes: dict[str, bytes | None] = {}
        message = ""
        for line in lines:
            match line:
                case {"key": "header", "value": {"summary": message}}:
                    pass
                case {"key": "file", "value": {"path": path, "content": content}}:
                    changes[path] = base64.b64decode(content)
                case {"key": "lfsFile", "value": {"path": path, "oid": oid}} if oid in self.hub.objects:
                    changes[path] = self.hub.objects[oid]
                case {"key": "deletedFile", "value": {"path": path}}:
                    changes[path] = None
                case _:
                    self.send(400, json.dumps({"error": f"cannot commit {line}"}).encode(), {})
                    return
        folder = self.hub.models[repo, "main"]
        for path, content in changes.items():
            if content is None:
                (folder / path).unlink()
            else:
                (folder / path).write_bytes(content)
        self.hub.commits.append((repo, message))
        commit = self.hub.commit_of(repo, "main")
        self.send_json({"commitUrl": f"{self.hub.endpoint}/{repo}/commit/{commit}", "commitOid": commit})

    def answer(self, repo: str, revision: str, reply: Any, *more: str) -> None:
        """Let `reply` answer for a revision that exists; the hub's own 404 for one that does not."""
        if found := self.hub.find(repo, revision):
            reply(repo, *found, *more)
        else:
            known = any(name == repo for name, _ in self.hub.models)
            self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})

    def send_info(self, repo: str, commit: str, folder: Path) -> None:
        siblings = [{"rfilename": path} for path in files_below(folder)]  # what older clients list by
        private = self.hub.private.get(repo, False)
        info = {"id": repo, "modelId": repo, "sha": commit, "private": private, "tags": [], "siblings": siblings}
        self.send_json(info)

    def send_tree(self, repo: str, commit: str, folder: Path) -> None:
        tree = [
            {"type": "file", "path": path, "size": len(content), "oid": blob_of(content)}
            for path, content in files_below(folder).items()
        ]
        self.send_json(tree)

    def send_file(self, repo: str, commit: str, folder: Path, path: str) -> None:
        content = files_below(folder).get(path)
        if content is None:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            self.send(200, content, {"ETag": f'"{blob_of(content)}"', "X-Repo-Commit": commit})

    def send_json(self, answer: Any, status: int = 200) -> None:
        self.send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the tests' stderr; `requests` has it."""


def upload_mode(file: Mapping[str, Any]) -> dict[str, Any]:
    """How the hub wants a file: texts in Git, the rest as LFS objects."""
    is_text = file["path"].endswith((".json", ".md")) and file["size"] < 10_000_000
    return {"path": file["path"], "uploadMode": "regular" if is_text else "lfs", "shouldIgnore": False}


def files_below(folder: Path) -> dict[str, bytes]:
    """Path with slashes -> content. Looking up only what is listed keeps `..` out."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
