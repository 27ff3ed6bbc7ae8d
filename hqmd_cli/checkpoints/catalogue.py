"""Models that others have trained, by short names: what they are, where they are, and which files were tried here.

catalogue.toml holds the facts with their sources. It is read for a name that is neither a bundled model nor a folder,
and where models are listed; a cold `hqmd predict` with a bundled model imports none of this.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import write_text
from hqmd_cli.files.checked_json import read_json, read_toml
from hqmd_cli.files.home import hqmd_home
from hqmd_cli.registry import pick
from hqmd_cli.units import Kind

FILE = Path(__file__).with_name("catalogue.toml")
COMMIT = re.compile("[0-9a-f]{40}")
PLACE = re.compile(r"(?P<repo>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?(?P<file>/.+)?")
NO_TORCH = ("auto", "onnx")  # backends with which an entry's ONNX file is opened


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue. catalogue.toml explains the fields."""

    name: str
    title: str
    kind: Kind
    focal: str
    licence: str
    commercial: str
    source: tuple[str, ...]
    hf: str = ""
    onnx: str = ""
    profile: str = ""
    parameters: float | None = None
    mb: int | None = None

    def address(self, backend: str = "auto") -> str:
        """Return where it is, as a scheme and a place; a revision kept from its first download is in it.

        Its ONNX file comes first, as it needs no torch. Raises HqmdError for a backend that it has no file for.
        """
        by_onnx = bool(self.onnx) and (backend in NO_TORCH or not self.hf)
        if (backend == "torch" and by_onnx) or (backend == "onnx" and not by_onnx):
            has = "an ONNX file, for --backend onnx" if by_onnx else "weights for transformers, for --backend torch"
            raise HqmdError(f"--backend {backend}: of {self.name} the catalogue knows only {has}")
        place = PLACE.fullmatch(self.onnx if by_onnx else self.hf)
        assert place
        revision = place["revision"] or kept().get(self.name, {}).get(place["repo"])
        return f"{'onnx' if by_onnx else 'hf'}:{place['repo']}{f'@{revision}' if revision else ''}{place['file'] or ''}"

    @property
    def licence_note(self) -> str:
        """What to say once where it is used: nothing if its licence allows commercial use."""
        limits = {"no": "no commercial use", "ask": "ask its authors before commercial use"}
        return f"licence {self.licence}: {limits[self.commercial]}" if self.commercial in limits else ""

    @property
    def tried(self) -> str:
        """How `hqmd models --verify` tried it here; an empty string if it did not."""
        return str(kept().get(self.name, {}).get("tried", ""))


@cache
def facts() -> dict[str, Any]:
    """Read the data file: "model", "profile" and "system", each by name, and the list "seen"."""
    return read_toml(FILE)


def entries() -> dict[str, Entry]:
    """Return every entry by its name."""
    lists = {name: {**values, "source": tuple(values["source"])} for name, values in facts()["model"].items()}
    return {name: Entry(name=name, **values) for name, values in lists.items()}


def find_entry(name: str) -> Entry | None:
    """Return the entry of this name, or None. A name with a slash or a colon has none, and nothing is read."""
    if "/" in name or ":" in name or name not in facts()["model"]:
        return None
    return entries()[name]


def what_it_saw(address: str, data: str) -> str:
    """Say how the third-party model at an address such as hf:org/name has seen a data set; empty if unknown."""
    rows = facts()["seen"]
    return "; ".join(row["how"] for row in rows if row["data"] == data and re.search(row["pattern"], address))


def entry_named(name: str) -> Entry:
    """Return the entry of this name. Raises HqmdError listing the names."""
    return pick(entries(), name, "model of the catalogue")


def kept_file() -> Path:
    """Return the file of what was found out here."""
    return hqmd_home() / "catalogue.json"


def kept() -> dict[str, dict[str, str]]:
    """Read what was found out here: name -> {repo: commit of the first download, "tried": how}."""
    try:
        values = read_json(kept_file(), dict)
    except (HqmdError, OSError, ValueError):
        return {}
    return {name: found for name, found in values.items() if isinstance(found, dict)}


def keep(name: str, found: dict[str, str]) -> None:
    """Add to what was found out about an entry. Where nothing can be written, the next run finds it out again."""
    values = kept()
    if found.items() <= values.get(name, {}).items():
        return
    values[name] = {**values.get(name, {}), **found}
    with suppress(HqmdError, OSError):
        kept_file().parent.mkdir(parents=True, exist_ok=True)
        write_text(kept_file(), json.dumps(values, indent=1) + "\n")


def keep_commit(entry: Entry, opened: str) -> None:
    """Keep the commit in the name of an opened model, such as hf:org/name@COMMIT, unless the catalogue has it."""
    place = PLACE.fullmatch(opened.partition(":")[2])
    if place and place["revision"] and COMMIT.fullmatch(place["revision"]):
        keep(entry.name, {place["repo"]: place["revision"]})


def as_dict(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain data for JSON, with what was found out here."""
    plain = {field.name: getattr(entry, field.name) for field in fields(entry)}
    return {**plain, "source": list(entry.source), "tried": entry.tried or None}


def tried_now(seconds: float) -> str:
    """Say how an entry was tried."""
    return f"by hqmd {__version__}, {seconds:.1f} s a picture"
