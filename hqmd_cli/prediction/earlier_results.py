"""Tell what earlier runs wrote from photos, by the records that lie in a folder of results."""

import os
from collections.abc import Sequence
from pathlib import Path

from hqmd_cli.errors import HqmdError
from hqmd_cli.prediction.manifest import Manifest
from hqmd_cli.prediction.plan import record_beside
from hqmd_cli.prediction.sources import real_place


class EarlierResults:
    """`EarlierResults()(place)`: True if a run wrote the file at this place (sources.real_place).

    The records are the manifests in its folder and in those above, whoever wrote into them. In `destinations`, this
    run's own folders, what a run that was killed has written without a record counts as well.
    """

    def __init__(self, destinations: Sequence[Path] = ()) -> None:
        self.own = {Path(os.path.realpath(folder)) for folder in destinations}
        self.by_folder: dict[Path, frozenset[Path]] = {}

    def __call__(self, place: Path) -> bool:
        return any(place in self.recorded_in(folder) for folder in place.parents)

    def recorded_in(self, folder: Path) -> frozenset[Path]:
        """Return the places of all files that the records in a folder name; reads them once."""
        if folder not in self.by_folder:
            self.by_folder[folder] = frozenset(map(real_place, self.read(folder)))
        return self.by_folder[folder]

    def read(self, folder: Path) -> set[Path]:
        """Return the absolute paths that the records in a folder name, and the records themselves."""
        manifest, is_own = Manifest(folder), folder in self.own
        if not (is_own or os.path.isfile(manifest.path)):
            return set()
        from hqmd_cli.prediction.intention import Intentions  # only here: a single photo needs none

        written = {manifest.path} | Intentions(folder).results
        try:
            written |= {path for path, _ in manifest.hashes()}
        except (HqmdError, OSError):
            if is_own:
                raise
            return set()  # another program's, or another user's
        return written | {record_beside(path) for path in written}
