"""Download models from the Hugging Face hub into its cache, with an end to every wait, and check what arrived."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.hub_client import HubSilent, patient_hub

GIT_HASH, SHA256 = re.compile("[0-9a-f]{40}"), re.compile("[0-9a-f]{64}")  # by which the cache names its files


def snapshot(repo: str, revision: str | None, files: Sequence[str]) -> Path:
    """Download files, by names or patterns, into the hub's cache; HF_ENDPOINT and HF_HUB_OFFLINE apply.

    The folder returned is named after the commit of the revision (None: the newest). Raises HqmdError if there is
    nothing of this name, if the hub does not answer, and if a file arrived damaged, which is then removed.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    where = f"{repo}@{revision}" if revision else repo
    there = cached_files(Path(constants.HF_HUB_CACHE), repo)
    try:
        with patient_hub():
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))
    except RevisionNotFoundError as error:
        raise HqmdError(f"{where}: the Hugging Face hub has no such revision") from error
    except RepositoryNotFoundError as error:
        raise HqmdError(f"{where}: no such folder here and no such model on the Hugging Face hub") from error
    except (LocalEntryNotFoundError, HubSilent) as error:
        why = (
            "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{printable(constants.ENDPOINT)} does not answer"
        )
        raise HqmdError(f"{where}: no such folder here, and the Hugging Face hub cannot be reached: {why}") from error
    except Exception as error:  # the hub's client passes on errors of its HTTP library
        said = printable(first_line(error))
        raise HqmdError(f"{where}: download from the Hugging Face hub failed: {said}") from error
    for path in sorted(folder.rglob("*")):
        if path.resolve() not in there:
            require_arrived(where, path)
    return folder


def cached_files(cache: Path, repo: str) -> set[Path]:
    """Return the files that the cache has of a model, whatever the revision."""
    return {path.resolve() for path in Path(cache, f"models--{repo.replace('/', '--')}", "blobs").glob("*")}


def require_arrived(where: str, path: Path) -> None:
    """Check a file that has just been downloaded by the hash that the hub announced for it; remove it if it differs.

    The client compares sizes only. In its cache, a file is named by its hash: SHA-256, or Git's for small files.
    """
    content = path.resolve()
    announced = content.name
    if content == path or not path.is_file():  # a cache without links does not tell
        return
    if SHA256.fullmatch(announced):
        digest: Any = hashlib.sha256()
    elif GIT_HASH.fullmatch(announced):
        digest = hashlib.sha1(f"blob {content.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return
    with content.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    if digest.hexdigest() != announced:
        path.unlink()
        content.unlink()
        raise HqmdError(f"{where}: {path.name} arrived damaged, as its hash is not the hub's; try again")
