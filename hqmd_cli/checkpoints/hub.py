"""Find the checkpoint folder for a model's name: a folder, a bundled model, or one on the Hugging Face hub."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.home import bundled_folder
from hqmd_cli.registry import Registry

if TYPE_CHECKING:
    from hqmd_cli.checkpoints.catalogue import Entry

DEFAULT_MODEL = "hqmd-indoor"
QUICK_MODEL = "hqmd-indoor-small"  # of the bundled ones
# A checkpoint's files; a folder with the first one is a checkpoint.
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
PROCESSOR_FILE = "preprocessor_config.json"  # of a network of transformers, for that library
HASHES_FILE = "photo_hashes.npy"  # of what it learned from (photo_hashes.py); not every checkpoint has it
BEST, LAST = "best", "last"  # checkpoint folders inside a training run's
ONNX_FILES = {"fp32": "model.onnx", "int8": "model.int8.onnx"}  # by precision; not every checkpoint has them
HUB_FILES = [CONFIG_FILE, WEIGHTS_FILE, *ONNX_FILES.values(), CARD_FILE, PROCESSOR_FILE, HASHES_FILE]
NOT_OWN = "{name}: a third-party model; this needs a checkpoint of hqmd's own, whose files it reads or changes"
HUB_NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")


def bundled_models() -> dict[str, Path]:
    """Return the checkpoints that come with hqmd, by name."""
    return {config.parent.name: config.parent for config in sorted(bundled_folder().glob(f"*/{CONFIG_FILE}"))}


def find_here(name: str) -> Path | None:
    """Return the checkpoint folder for a bundled name or a folder; None if only the hub can have it.

    A bundled name wins over a folder called so in the current folder, which is `./NAME`.
    """
    if bundled := bundled_models().get(name):
        return bundled
    folder = Path(name)
    return folder if (folder / CONFIG_FILE).is_file() else None


def find_checkpoint(name: str) -> Path:
    """Return the checkpoint folder for a folder, a bundled name, or `org/name[@revision]` on the hub (downloaded once).

    Raises HqmdError, which lists the choices.
    """
    if scheme_of(name):
        raise HqmdError(NOT_OWN.format(name=name))
    if here := find_here(name):
        return here
    folder = Path(name)
    if folder.is_dir():
        there = f"; {folder / BEST} is one" if (folder / BEST / CONFIG_FILE).is_file() else ""
        raise HqmdError(f"{folder}: a folder without {CONFIG_FILE}, so not a checkpoint{there}")
    if known_elsewhere(name):
        raise HqmdError(NOT_OWN.format(name=name))
    if match := HUB_NAME.fullmatch(name):
        return download(match["repo"], match["revision"])
    choices = ["a checkpoint folder", "org/name[@revision] on the Hugging Face hub", *FORMS, *bundled_models()]
    choices += ["and what `hqmd models` lists"]
    raise HqmdError(f"no model {name!r}; there are: {', '.join(choices)}")


def known_elsewhere(name: str) -> "Entry | None":
    """Return what the catalogue knows of a short name; None if it is not one of them."""
    from hqmd_cli.checkpoints.catalogue import find_entry

    return find_entry(name)


def find_model(name: str) -> "Path | str | Entry":
    """Find a model of any kind: a checkpoint folder, the address of a foreign model, or an entry of the catalogue.

    This is where short names get their meaning. The catalogue is read only for a name that is nothing else here.
    Raises HqmdError as find_checkpoint.
    """
    if scheme_of(name):
        return name
    if here := find_here(name):
        return here
    if entry := known_elsewhere(name):
        return entry
    return find_checkpoint(name)


def download(repo: str, revision: str | None) -> Path:
    """Download a checkpoint's files. Raises HqmdError if the hub has none there."""
    from hqmd_cli.checkpoints.hub_download import snapshot

    folder = snapshot(repo, revision, HUB_FILES)
    if not (folder / CONFIG_FILE).is_file():
        where = f"{repo}@{revision}" if revision else repo
        raise HqmdError(f"{where}: the model on the hub has no {CONFIG_FILE}, so it is not an hqmd checkpoint")
    return folder


def find_own(name: str) -> Path:
    """Return the folder of a checkpoint that a command is to change.

    Raises HqmdError as find_checkpoint, and for a model that is not the user's own to change: a bundled one, and one in
    the hub's cache, which other programs share and where a commit's name stands for its content.
    """
    folder = find_checkpoint(name)
    if name in bundled_models():
        raise HqmdError(f"{name}: comes with hqmd, and is not changed; {copy_of(name)}")
    if where := shared_place(folder):
        raise HqmdError(f"{name}: lies in {where}, and is not changed; {copy_of(name)}")
    return folder


def copy_of(name: str) -> str:
    """Say how to get a copy of a model that may be changed."""
    return f"make a copy, `hqmd export {name} -o MY-MODEL`, and name that"


def shared_place(folder: Path) -> str | None:
    """Return in words where a folder lies that no command may change; None for the user's own."""
    resolved = folder.resolve()
    if Path(__file__).parents[1].resolve() in resolved.parents:
        return "the installed package"
    if resolved.parent.name == "snapshots" and resolved.parents[1].name.startswith("models--"):
        return "the cache of the Hugging Face hub"
    return None


FOREIGN = Registry(
    "hqmd.foreign",
    {
        "hf": "hqmd_cli.inference.foreign.hugging_face:open_model",
        "onnx": "hqmd_cli.inference.foreign.onnx_file:open_model",
        "py": "hqmd_cli.inference.foreign.python_function:open_model",
    },
    needs=("__call__",),
)


# For messages.
FORMS = ("hf:org/name[@revision] of transformers", "onnx:FILE or onnx:org/name[@revision]/FILE", "py:module:function")


def scheme_of(name: str) -> str | None:
    """Return "hf" for "hf:org/name"; None for a name without a known scheme."""
    scheme, colon, _ = name.partition(":")
    if colon and len(scheme) > 1 and scheme.isidentifier() and scheme not in FOREIGN:  # one letter is a drive
        FOREIGN.extend()
    return scheme if colon and scheme in FOREIGN else None
