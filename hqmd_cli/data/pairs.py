"""Photos and depth maps as files, and a folder of such pairs. lists.py reads lists of them.

DIR/rgb/NAME.jpg and DIR/depth/NAME.png; optionally train.txt, val.txt and test.txt in DIR, one name per line.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.depth_unit import find_depth_scale
from hqmd_cli.data.sample import WHOLE, FileDataset, GroundTruth, Sample, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import DEPTH_SUFFIXES, depth_bits, read_depth_values
from hqmd_cli.files.photos import PHOTO_SUFFIXES, read_image

Pair = tuple[str, Path, Path]  # name, photo, depth map


class FilePairs(FileDataset):
    """Photos and depth maps in one file each. Subclasses find the pairs and read the depth."""

    pairs: list[Pair]

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where unknown."""
        raise NotImplementedError

    @property
    def names(self) -> list[str]:
        """Names of the samples, in order."""
        return [name for name, _, _ in self.pairs]

    @property
    def photos(self) -> list[str]:
        """Absolute paths of the photos."""
        return [str(photo.resolve()) for _, photo, _ in self.pairs]

    @property
    def files(self) -> list[Path]:
        """Photos and depth maps."""
        return [file for _, photo, depth in self.pairs for file in (photo, depth)]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        name, photo, depth = self.pairs[index]
        depth_m = self.read_depth_m(depth)
        try:
            return sample_from(name, read_image(photo), depth_m)
        except ValueError as error:
            raise HqmdError(f"{photo} and {depth}: {error}") from error


class OwnPairs(FilePairs):
    """The user's own pairs, in a folder or a list. All depth maps have one unit, which is found or stated."""

    ground_truth: GroundTruth = "as given"

    def __init__(
        self,
        path: Path,
        split: str,
        pairs: list[Pair],
        depth_scale: float | None,
        known: tuple[float, str] | None = None,
    ) -> None:
        """Find the unit. `known` is the one of a published list: units per metre, and how they are known."""
        if not pairs:
            raise HqmdError(f"{path}: split {split!r} is empty")
        self.pairs = pairs
        depths = [depth for _, _, depth in pairs]
        if known is None or depth_scale is not None:
            known = find_depth_scale(depths, depth_scale)
        self.units_per_metre, origin = known
        self.description = f"{path.name}, {split}, depth / {self.units_per_metre:g} ({origin})"
        if depth_bits(depths[0]) == 8:
            self.step_mm = 1000 / self.units_per_metre
            self.description += f", 8 bits in steps of {self.step_mm:.0f} mm"

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where unknown."""
        return read_depth_values(depth).astype(np.float32) / np.float32(self.units_per_metre)


class PairFolder(OwnPairs):
    """One split of a folder of pairs."""

    layout = "rgb/NAME.jpg and depth/NAME.png"
    split_help = "a split is a file such as val.txt beside rgb/ and depth/, one name per line"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        refuse_raw(path, ground_truth)
        photos, depths = files_by_name(path / "rgb", PHOTO_SUFFIXES), files_by_name(path / "depth", DEPTH_SUFFIXES)
        names = sorted(photos.keys() | depths.keys()) if split == WHOLE else read_names(path / f"{split}.txt")
        for found, kind in ((photos, "rgb"), (depths, "depth")):
            if missing := [name for name in names if name not in found]:
                raise HqmdError(
                    f"{path / kind}: no file for {len(missing)} of {len(names)} names, such as {missing[0]}"
                )
        super().__init__(path, split, [(name, photos[name], depths[name]) for name in names], depth_scale)

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if either folder is there, so that the error message asks for the other one."""
        return any((path / part).is_dir() for part in ("rgb", "depth"))

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the stems of all .txt files, and `all`."""
        return [*(file.stem for file in sorted(path.glob("*.txt"))), WHOLE]

    @staticmethod
    def unpaired(path: Path) -> list[str]:
        """Describe photos without depth and depth maps without photo, one line each."""
        suffixes = {"rgb": PHOTO_SUFFIXES, "depth": DEPTH_SUFFIXES}
        photos, depths = ({file.stem for file in files_in(path / part, known)} for part, known in suffixes.items())
        both = ((photos - depths, "photos without depth"), (depths - photos, "depth maps without photo"))
        return [f"{len(names)} {what}, such as {min(names)}" for names, what in both if names]


def read_names(path: Path) -> list[str]:
    """Read the names in a split file, one per line. Raises HqmdError if it is not text."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise HqmdError(f"{path}: not a readable list of names: {error}") from error
    return [name for line in lines if (name := line.strip())]


def refuse_raw(path: Path, ground_truth: str) -> None:
    """Raise HqmdError for raw ground truth: the user's files do not say if holes were filled."""
    if ground_truth == "raw":
        raise HqmdError(
            f"{path}: a protocol on raw depth needs the official .mat, which holds it beside the filled one"
        )


def files_in(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """List the files in `folder` with one of `suffixes`, sorted; an empty list if there is no such folder."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in suffixes) if folder.is_dir() else []


def files_by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """Map the stems of the files in `folder` to their paths. Raises HqmdError if two files share a stem."""
    if not folder.is_dir():
        raise HqmdError(f"{folder}: no such folder; a folder of pairs has {PairFolder.layout}")
    found: dict[str, Path] = {}
    for file in files_in(folder, suffixes):
        if file.stem in found:
            raise HqmdError(f"{file} and {found[file.stem].name} have one name; keep one of them")
        found[file.stem] = file
    return found
