"""Furniture with metric sizes: Sweet Home 3D's free libraries, as Debian packages them (sweethome3d-furniture).

A library is a zip of Wavefront models and a Java properties file with name, category and size of each in centimetres.
In version 1.8 Reallusion and KatorLegaz are under CC BY 3.0 US, Scopia and BlendSwap-CC-BY under CC BY 3.0, and
BlendSwap-CC-0 under CC0; the package's copyright file and the LICENSE.TXT in each library have the words.
"""

import hashlib
import json
import pickle
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.images import write_bytes
from hqmd_cli.rooms.mesh import Mesh, read_mesh, upper_side

FORMAT = 1  # of a kept catalogue; raise it whenever Furniture, Mesh or the reading of models changes
CATALOGUE_FILE = "PluginFurnitureCatalog.properties"
INDOORS = frozenset({"Bathroom", "Bedroom", "Kitchen", "Living room", "Lights", "Office", "Miscellaneous"})
MOST_TRIANGLES = 60_000  # a few models have far more than all else in a room
UNTURNED = "1 0 0 0 1 0 0 0 1"


@dataclass(frozen=True, eq=False)
class Furniture:
    """A catalogue entry."""

    name: str
    category: str
    size_m: NDArray[np.float32]  # width, depth, height
    elevation_m: float  # of its foot above the floor, for what hangs on walls
    mesh: Mesh
    tops_m: NDArray[np.float32]  # (TOP_CELLS, TOP_CELLS) height of the upper side; 0 where there is nothing


def fingerprints(files: Iterable[Path]) -> dict[str, str]:
    """The name of each file and the sha256 of what is in it."""
    found = {}
    for path in files:
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def prepare_catalogue(libraries: list[Path], kept: Path) -> None:
    """Read all indoor furniture of the .sh3f files and keep it in the file `kept`, for read_catalogue.

    Reading takes half a minute, so a kept catalogue of the same libraries and FORMAT stays; any other is made anew.
    Raises HqmdError when a library is none, or `kept` cannot be written.
    """
    header = json.dumps({"format": FORMAT, "libraries": fingerprints(libraries)}).encode() + b"\n"
    if kept.exists():
        with kept.open("rb") as file:
            if file.readline(len(header)) == header:
                return
    found = [piece for library in libraries for piece in read_library(library)]
    write_bytes(kept, header + pickle.dumps(found))


def read_catalogue(kept: Path) -> list[Furniture]:
    """What prepare_catalogue kept. As with every pickle: only from where nobody else writes."""
    try:
        with kept.open("rb") as file:
            file.readline()
            catalogue: list[Furniture] = pickle.load(file)
    except Exception as error:  # a damaged pickle can raise anything
        raise HqmdError(f"{kept}: cannot be read: {first_line(error)}; delete it, it will be made anew") from error
    return catalogue


def read_library(library: Path) -> Iterator[Furniture]:
    """The usable models of one .sh3f file; those that cannot be read are named on stderr and left out."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with zipfile.ZipFile(library) as archive:
                archive.extractall(folder)
            catalogue = (folder / CATALOGUE_FILE).read_text(encoding="latin-1")
        except (zipfile.BadZipFile, FileNotFoundError) as error:
            raise HqmdError(f"{library}: no library of Sweet Home 3D; take it out, or get it anew") from error
        for entry in entries(catalogue):
            if entry.get("category") not in INDOORS or entry.get("doorOrWindow") == "true":
                continue
            try:
                piece = read_piece(entry, folder)
            except Exception as error:  # trimesh has many; a model less is no harm
                print(f"{library}: {entry.get('model')} is left out: {first_line(error)}", file=sys.stderr)
                continue
            if len(piece.mesh.triangles) <= MOST_TRIANGLES:
                yield piece


def read_piece(entry: dict[str, str], folder: Path) -> Furniture:
    """One entry with its model; `folder` is the unpacked library."""
    size_m = np.array([float(entry[side]) / 100 for side in ("width", "depth", "height")], np.float32)
    rotation = np.array(entry.get("modelRotation", UNTURNED).split(), float).reshape(3, 3)
    mesh = read_mesh(folder / entry["model"].lstrip("/"), rotation, size_m)
    elevation_m = float(entry.get("elevation", 0)) / 100
    return Furniture(entry["name"], entry["category"], size_m, elevation_m, mesh, upper_side(mesh, size_m))


def entries(catalogue: str) -> Iterator[dict[str, str]]:
    """The numbered entries of a Java properties file: `name#12=Chair`."""
    by_number: dict[str, dict[str, str]] = {}
    for line in catalogue.splitlines():
        key, _, value = line.strip().partition("=")
        name, _, number = key.partition("#")
        if number.isdigit():
            by_number.setdefault(number, {})[name] = value
    yield from by_number.values()
