"""Find the checkpoint folder for a model's name: a folder, a bundled model, or one on the Hugging Face hub."""

import re
from collections.abc import Sequence
from pathlib import Path

from hqmd_cli.errors import HqmdError

DEFAULT_MODEL = "hqmd-indoor"
# A checkpoint's files; a folder with the first one is a checkpoint.
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
BEST, LAST = "best", "last"  # checkpoint folders inside a training run's
ONNX_FILES = {"fp32": "model.onnx", "int8": "model.int8.onnx"}  # by precision; not every checkpoint has them
HUB_FILES = [CONFIG_FILE, WEIGHTS_FILE, *ONNX_FILES.values(), CARD_FILE]
HUB_NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")


def bundled_models() -> dict[str, Path]:
    """Return the checkpoints that come with hqmd, by name.

    In a checkout they lie in `weights/` at the top; in a wheel, in the package.
    """
    package = Path(__file__).parents[1]
    weights = next((w for w in (package / "weights", package.parent / "weights") if w.is_dir()), None)
    return {config.parent.name: config.parent for config in sorted(weights.glob(f"*/{CONFIG_FILE}"))} if weights else {}


def find_here(name: str) -> Path | None:
    """Return the checkpoint folder for a folder or a bundled name; None if only the hub can have it."""
    folder = Path(name)
    return folder if (folder / CONFIG_FILE).is_file() else bundled_models().get(name)


def find_checkpoint(name: str) -> Path:
    """Return the checkpoint folder for a folder, a bundled name, or `org/name[@revision]` on the hub (downloaded once).

    Raises HqmdError, which lists the choices.
    """
    if scheme_of(name):
        raise HqmdError(
            f"{name}: predict, evaluate and compare take such a model; this asks for a checkpoint of hqmd's own, whose "
            "files it reads or changes"
        )
    if here := find_here(name):
        return here
    folder = Path(name)
    if folder.is_dir():
        there = f"; {folder / BEST} is one" if (folder / BEST / CONFIG_FILE).is_file() else ""
        raise HqmdError(f"{folder}: a folder without {CONFIG_FILE}, so no checkpoint{there}")
    if match := HUB_NAME.fullmatch(name):
        return download(match["repo"], match["revision"])
    choices = ["a checkpoint folder", "org/name[@revision] on the Hugging Face hub", *FORMS, *bundled_models()]
    raise HqmdError(f"no model {name!r}; there are: {', '.join(choices)}")


def download(repo: str, revision: str | None) -> Path:
    """Download a checkpoint's files. Raises HqmdError if the hub has none there."""
    folder = snapshot(repo, revision, HUB_FILES)
    if not (folder / CONFIG_FILE).is_file():
        where = f"{repo}@{revision}" if revision else repo
        raise HqmdError(f"{where}: the model on the hub has no {CONFIG_FILE}, so it is no hqmd checkpoint")
    return folder


def snapshot(repo: str, revision: str | None, files: Sequence[str]) -> Path:
    """Download files, by names or patterns, into the hub's cache; HF_ENDPOINT and HF_HUB_OFFLINE apply.

    The folder returned is named after the commit of the revision (None: the newest).
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    where = f"{repo}@{revision}" if revision else repo
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))
    except RevisionNotFoundError as error:
        raise HqmdError(f"{where}: the Hugging Face hub has no such revision") from error
    except RepositoryNotFoundError as error:
        raise HqmdError(f"{where}: no such folder here and no such model on the Hugging Face hub") from error
    except LocalEntryNotFoundError as error:
        raise HqmdError(f"{where}: no such folder here, and the Hugging Face hub cannot be reached") from error
    except Exception as error:  # the hub's client passes on errors of its HTTP library
        raise HqmdError(f"{where}: download from the Hugging Face hub failed: {error}") from error


FOREIGN = {
    "hf": "hqmd_cli.inference.foreign.hugging_face:open_model",
    "py": "hqmd_cli.inference.foreign.python_function:open_model",
}


FORMS = ("hf:org/name[@revision] of transformers", "py:module:function")  # for messages


def scheme_of(name: str) -> str | None:
    """Return "hf" for "hf:org/name"; None for a name without a known scheme."""
    scheme, colon, _ = name.partition(":")
    return scheme if colon and scheme in FOREIGN else None
