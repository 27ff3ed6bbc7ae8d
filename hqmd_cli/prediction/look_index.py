"""index.html of a folder of pages (`--format look`): a thumbnail and a link for each."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import write_pieces
from hqmd_cli.page.build import index_page
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.prediction.manifest import Manifest, hashes_of

INDEX_FILE = "index.html"
GENERATOR = "hqmd, pages of a folder"
START = 2**17  # bytes of a page in which its thumbnail stands
THUMBNAIL = re.compile(rb'<link rel="icon" href="data:image/jpeg;base64,([\w+/=]+)">')


class Page(NamedTuple):
    """An entry of the index."""

    name: str  # of the photo
    address: str
    thumbnail: str  # JPEG, base64


def refuse_foreign(folder: Path) -> None:
    """Raise HqmdError if the folder has an index.html that hqmd did not write."""
    path = folder / INDEX_FILE
    if path.exists() and not (path.is_file() and GENERATOR.encode() in start_of(path)):
        raise HqmdError(
            f"{printable(str(path))}: exists, and hqmd did not write it; pass --overwrite, or choose another -o"
        )


def write_index(manifest: Manifest) -> Path:
    """Write index.html with every page that the manifest describes and that is there, in the order of the photos."""
    path = manifest.folder / INDEX_FILE
    found = {
        place: file
        for place, row in sorted(manifest.read().items())
        for name in hashes_of(row)
        if name.endswith(OUTPUTS["look"].suffix) and (file := (manifest.folder / place).parent / name).is_file()
    }
    title = manifest.folder.resolve().name
    count = f"{len(found):,} photo{'s' if len(found) != 1 else ''}"
    about = {"title": title, "count": count, "generator": f"{GENERATOR}; {__version__}"}
    write_pieces(path, index_page({**about, "pages": pages_of(found, manifest.folder)}))
    return path


def pages_of(found: dict[str, Path], folder: Path) -> Iterator[Page]:
    """Read the thumbnail of each page, one after the other."""
    for place, file in found.items():
        thumbnail = THUMBNAIL.search(start_of(file))
        address = quote(file.relative_to(folder).as_posix(), errors="surrogateescape")
        yield Page(place, address, thumbnail[1].decode() if thumbnail else "")


def start_of(path: Path) -> bytes:
    """Read the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(START)
