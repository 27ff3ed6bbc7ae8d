"""Checkpoints to the Hugging Face hub, from where hub.py fetches them.

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
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.atomic import write_text

PUSH_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)  # without a revision: it goes to main
TOKEN_REMEDY = (
    "run `hf auth login`, or set HF_TOKEN to a token of https://huggingface.co/settings/tokens that may write"
)

Tell = Callable[[str], object]


def require_pushable(name: str) -> None:
    """Refuse what a push would end in, before hours of training are spent on it.

    Raises HqmdError for a name that is none, for no token or one that may not write there, and when the hub cannot be
    reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    if not PUSH_NAME.fullmatch(name):
        raise HqmdError(f"{name!r} is no name to push to; it is ORG/NAME, such as me/rooms")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise HqmdError(f"{name!r} is no name to push to: {first_line(error)}") from error
    with explained(name):
        user = HfApi().whoami()
    refuse_strangers(name, user)


def refuse_strangers(name: str, user: dict[str, Any]) -> None:
    """Raise HqmdError when a user, as the hub describes the token's, has no right to write there.

    What a fine-grained token may do only the hub can tell, when it is done.
    """
    role = user.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise HqmdError(f"{name}: the token may read only; {TOKEN_REMEDY}")
    org = name.partition("/")[0]
    own = [user["name"], *(there["name"] for there in user.get("orgs", []))]
    if org.lower() not in map(str.lower, own) and role != "fineGrained":
        raise HqmdError(f"{name}: {user['name']} is not in {org}; the token may write to {', '.join(own)}")


def push_checkpoint(folder: Path, name: str, private: bool = False, tell: Tell = lambda note: None) -> str:
    """Upload a checkpoint as one commit, and return its address: `tell` is told what is worth knowing on the way.

    Graphs that the repository has and this checkpoint has not are removed there, for they read the weights by their
    place in the file. Raises HqmdError as require_pushable does, and when a repository that is to be private is public.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    with TemporaryDirectory() as place:
        files = prepare(folder, Path(place), name, tell)
        api = HfApi()
        with explained(name):
            address = api.create_repo(name, private=private or None, exist_ok=True)
            if private and not api.model_info(name).private:
                raise HqmdError(f"{name}: is there already, and public; make it private in its settings on the hub")
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
    """Copy a checkpoint, add what it lacks, and return its files' names. What it was copied from stays as it was.

    The card is called by the repository, unless somebody has written it by hand.
    """
    for file in HUB_FILES:
        if (source / file).is_file():
            shutil.copyfile(source / file, place / file)
    info = read_info(place)
    if not (place / WEIGHTS_FILE).is_file():
        raise HqmdError(f"{source}: has no {WEIGHTS_FILE}, so that there is nothing to push")
    if not any((place / graph).is_file() for graph in ONNX_FILES.values()):
        add_graph(place, tell)
    card = (place / CARD_FILE).read_text("utf-8", "replace") if (place / CARD_FILE).is_file() else ""
    title = next((line.removeprefix("# ") for line in card.splitlines() if line.startswith("# ")), "")
    if card in ("", model_card(title, info)):
        write_text(place / CARD_FILE, model_card(name.partition("/")[2], info, address=name))
    return [file for file in HUB_FILES if (place / file).is_file()]


def add_graph(checkpoint: Path, tell: Tell) -> None:
    """Make model.onnx, as `hqmd export` does; where that cannot be, `tell` why: predict computes by torch then."""
    if find_spec("onnxscript") is None:
        tell("without a graph for ONNX Runtime, which needs: pip install 'hqmd[export]'")
        return
    import torch

    from hqmd_cli.checkpoints.checkpoint import load_checkpoint
    from hqmd_cli.export.onnx_graph import export_beside

    try:
        export_beside(load_checkpoint(checkpoint, torch.device("cpu"))[0], checkpoint)
    except HqmdError as error:
        tell(f"without a graph for ONNX Runtime: {first_line(error)}")


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what the hub, its client and the network say into a line with a remedy."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        yield
    except HqmdError:
        raise
    except LocalTokenNotFoundError as error:
        raise HqmdError(f"{name}: there is no token; {TOKEN_REMEDY}") from error
    except Exception as error:  # the hub's client passes on its HTTP library's own types
        raise HqmdError(f"{name}: {complaint(error)}") from error


def complaint(error: Exception) -> str:
    """What went wrong, in words."""
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
    """The HTTP status at the root of an error; None where no answer came."""
    while error is not None:
        if (status := getattr(getattr(error, "response", None), "status_code", None)) is not None:
            return int(status)
        error = error.__cause__
    return None
