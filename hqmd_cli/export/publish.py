"""Publish checkpoints on the Hugging Face hub, from where checkpoints/hub.py downloads them.

https://huggingface.co/docs/huggingface_hub/guides/upload
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hqmd_cli.checkpoints.card import model_card
from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import CARD_FILE, HUB_FILES, ONNX_FILES, WEIGHTS_FILE
from hqmd_cli.checkpoints.safetensors_file import require_whole
from hqmd_cli.checkpoints.weights import require_recorded
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.atomic import write_text
from hqmd_cli.files.hub_client import patient_hub
from hqmd_cli.installed import how_to_install

PUSH_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)  # no revision: pushes go to main
TOKEN_REMEDY = (
    "run `hf auth login`, or set HF_TOKEN to a token with write access from https://huggingface.co/settings/tokens"
)

Tell = Callable[[str], object]


def require_pushable(name: str) -> None:
    """Raise HqmdError for a push that would fail, before hours of training are spent on it.

    It checks the name, the token and its rights, and that the hub can be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    if not PUSH_NAME.fullmatch(name):
        raise HqmdError(f"{name!r} is not a name to push to; give ORG/NAME, such as me/rooms")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise HqmdError(f"{name!r} is not a name to push to: {first_line(error)}") from error
    with explained(name):
        user = HfApi().whoami()
    refuse_strangers(name, user)


def refuse_strangers(name: str, user: dict[str, Any]) -> None:
    """Raise HqmdError if `user`, the hub's description of the token's owner, may not write to `name`.

    The rights of a fine-grained token show only when it is used.
    """
    role = user.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise HqmdError(f"{name}: the token may read only; {TOKEN_REMEDY}")
    org = name.partition("/")[0]
    own = [user["name"], *(there["name"] for there in user.get("orgs", []))]
    if org.lower() not in map(str.lower, own) and role != "fineGrained":
        raise HqmdError(f"{name}: {user['name']} is not in {org}; the token may write to {', '.join(own)}")


def push_checkpoint(folder: Path, name: str, private: bool = False, tell: Tell = lambda note: None) -> str:
    """Upload a checkpoint as one commit and return its address; `tell` receives notes for the user.

    Graphs in the repository that the checkpoint lacks are deleted there, because they read the weights by offset.
    Raises HqmdError if the hub refuses, or if `private` is True and the repository is public.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    with TemporaryDirectory() as place:
        files = prepare(folder, Path(place), name, tell)
        api = HfApi()
        with explained(name):
            address = api.create_repo(name, private=private or None, exist_ok=True)
            if private and not api.model_info(name).private:
                raise HqmdError(f"{name}: exists already, and is public; make it private in its settings on the hub")
            there = api.list_repo_files(name)
            stale = [graph for graph in ONNX_FILES.values() if graph in there and graph not in files]
            api.create_commit(
                name,
                [
                    *(CommitOperationAdd(file, Path(place, file)) for file in files),
                    *(CommitOperationDelete(graph) for graph in stale),
                ],
                commit_message=f"hqmd: step {read_info(folder).step}",
            )
    return str(address)


def prepare(source: Path, place: Path, name: str, tell: Tell) -> list[str]:
    """Copy a checkpoint to `place`, add a graph if it has none, and return the names of its files.

    The card takes the repository's name, unless it was edited.
    """
    for file in HUB_FILES:
        if (source / file).is_file():
            shutil.copyfile(source / file, place / file)
    info = read_info(place)
    if not (place / WEIGHTS_FILE).is_file():
        raise HqmdError(f"{source}: has no {WEIGHTS_FILE}, so there is nothing to push")
    require_whole(place / WEIGHTS_FILE)
    require_recorded(place, info.weights_sha256)
    if not any((place / graph).is_file() for graph in ONNX_FILES.values()):
        add_graph(place, tell)
    card = (place / CARD_FILE).read_text("utf-8", "replace") if (place / CARD_FILE).is_file() else ""
    title = next((line.removeprefix("# ") for line in card.splitlines() if line.startswith("# ")), "")
    if card in ("", model_card(title, info)):
        write_text(place / CARD_FILE, model_card(name.partition("/")[2], info, address=name))
    return [file for file in HUB_FILES if (place / file).is_file()]


def add_graph(checkpoint: Path, tell: Tell) -> None:
    """Make model.onnx as `hqmd export` does; if that fails, `tell` why, and predict runs the model in torch."""
    if find_spec("onnxscript") is None or find_spec("torch") is None:
        tell(f"no graph for ONNX Runtime; to make one: {how_to_install('onnxscript')}")
        return
    import torch

    from hqmd_cli.checkpoints.checkpoint import load_checkpoint
    from hqmd_cli.export.onnx_graph import export_beside

    try:
        export_beside(load_checkpoint(checkpoint, torch.device("cpu"))[0], checkpoint)
    except HqmdError as error:
        tell(f"no graph for ONNX Runtime: {first_line(error)}")


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn errors of the hub, its client and the network into an HqmdError of one line with a remedy."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        with patient_hub():
            yield
    except HqmdError:
        raise
    except LocalTokenNotFoundError as error:
        raise HqmdError(f"{name}: no token found; {TOKEN_REMEDY}") from error
    except Exception as error:  # the hub's client passes on its HTTP library's own types
        raise HqmdError(f"{name}: {complaint(error)}") from error


def complaint(error: Exception) -> str:
    """Say what went wrong, with a remedy."""
    match status_of(error):
        case 401:
            return f"the Hugging Face hub does not know this token; {TOKEN_REMEDY}"
        case 403:
            return f"the token may not write there; {TOKEN_REMEDY}"
        case None:
            return f"the Hugging Face hub cannot be reached: {first_line(error)}"
        case status:
            return f"the Hugging Face hub refused, with status {status}: {first_line(error)}"


def status_of(error: BaseException | None) -> int | None:
    """Find the HTTP status that caused an error; None if there was no response."""
    while error is not None:
        if (status := getattr(getattr(error, "response", None), "status_code", None)) is not None:
            return int(status)
        error = error.__cause__
    return None
