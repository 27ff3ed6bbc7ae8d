"""Photos and depth maps as files, and a folder of such pairs. lists.py reads lists of them.

DIR/rgb/NAME.jpg and DIR/depth/NAME.png; optionally train.txt, val.txt and test.txt in DIR, one name per line, and
frames.csv with the columns name, fx, the focal length in pixels, and place, the room that a photo shows.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.depth_unit import doubts, find_depth_scale
from hqmd_cli.data.focal_lengths import FRAMES_FILE, in_words, read_frames
from hqmd_cli.data.missing import without_missing
from hqmd_cli.data.no_depth import to_metres
from hqmd_cli.data.orientation import UNTURN, orientation_of
from hqmd_cli.data.sample import WHOLE, FileDataset, GroundTruth, Sample, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import DEPTH_READERS, depth_bits, depth_size, read_depth_values
from hqmd_cli.files.kinds import photo_suffixes
from hqmd_cli.files.photos import SIDEWAYS, photo_size, read_photo
from hqmd_cli.files.text import read_lines

Pair = tuple[str, Path, Path]  # name, photo, depth map

# Words in names that the two folders have elsewhere. They are named in errors, not read: if there are several, it is
# unclear which one is meant.
COMMENT, QUOTES = "#", "\"'"  # in a split file
PHOTO_FOLDERS = ("image", "img", "photo", "picture", "color", "colour", "rgb", "input", "left")
DEPTH_FOLDERS = ("depth", "gt", "groundtruth", "truth", "target", "disparity")
JUNK = frozenset({"thumbs.db", "desktop.ini"})  # of Windows, in any folder with pictures


class FilePairs(FileDataset):
    """Photos and depth maps in one file each. Subclasses find the pairs and read the depth."""

    pairs: list[Pair]
    focals: Mapping[str, float] = MappingProxyType({})  # by name, in pixels; of names without one it is unknown
    scenes: Mapping[str, str] = MappingProxyType({})  # by name

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

    def focal_px(self, index: int) -> float | None:
        """Return the focal length of a sample's photo, in pixels; None if it is unknown."""
        return self.focals.get(self.pairs[index][0])

    def sizes(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Read (H, W) of a photo and of its depth map from their headers. Raises HqmdError if either is damaged."""
        _, photo, depth = self.pairs[index]
        return photo_size(photo), depth_size(depth)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        name, photo, depth = self.pairs[index]
        focal_px, depth_m = self.focal_px(index), self.read_depth_m(depth)
        try:
            read = read_photo(photo)
            return sample_from(name, read.rgb, depth_m, focal_px, read.remarks)
        except ValueError as error:
            raise HqmdError(f"{photo} and {depth}: {error}{turned_remedy(photo)}") from error


class OwnPairs(FilePairs):
    """The user's own pairs, in a folder or a list. All depth maps have one unit, which is found or stated."""

    ground_truth: GroundTruth = "as given"
    units_per_metre: float

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
        pairs, self.repeated = once_each(pairs)
        self.pairs = pairs
        depths = [depth for _, _, depth in pairs]
        if known is None or depth_scale is not None:
            known = find_depth_scale(depths, depth_scale)
        self.units_per_metre, origin = known
        self.description = f"{path.name}, {split}, depth / {self.units_per_metre:g} ({origin})"
        if depth_bits(depths[0]) == 8:
            self.step_mm = 1000 / self.units_per_metre
            self.description += f", 8 bits in steps of {self.step_mm:.0f} mm"
        if origin == "stated":
            self.description += doubts(depths, self.units_per_metre)
        if self.repeated:
            self.description += f", named twice and taken once: {len(self.repeated)}"

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where unknown, infinite where a sentinel stands for "no depth"."""
        return to_metres(read_depth_values(depth), self.units_per_metre)


class PairFolder(OwnPairs):
    """One split of a folder of pairs."""

    layout = "rgb/NAME.jpg and depth/NAME.png"
    split_help = (
        "a split is a file such as val.txt beside rgb/ and depth/, one name per line (`hqmd data split` writes both)"
    )

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        refuse_raw(path, ground_truth)
        photos, depths = files_by_name(path / "rgb", photo_suffixes()), files_by_name(path / "depth", depth_suffixes())
        if split == WHOLE:
            names = sorted(photos.keys() | depths.keys())
        else:
            lines = [known_name(name, photos, depths) for name in read_names(path / f"{split}.txt")]
            names = [name for name in lines if name in photos or name in depths or not name.startswith(COMMENT)]
        missing = {name: kind for found, kind in ((depths, "depth"), (photos, "rgb")) for name in names - found.keys()}
        if missing:
            first = next(name for name in names if name in missing)
            kind = path / missing[first]
            complaint = f"{kind}: no file for {len(missing)} of {len(names)} names, such as {first}{near_miss(kind)}"
        names, note = without_missing(names, list(missing), complaint if missing else "")
        super().__init__(path, split, [(name, photos[name], depths[name]) for name in names], depth_scale)
        frames = {known_name(name, photos, depths): frame for name, frame in read_frames(path).items()}
        self.focals = {name: frame.fx for name, frame in frames.items() if frame.fx}
        self.scenes = {name: frame.place for name, frame in frames.items() if frame.place}
        self.path = path
        self.description += note + in_words(self.focals, self.names, FRAMES_FILE)
        if not frames and (path / FRAMES_FILE).exists():
            self.description += f", no focal lengths in {FRAMES_FILE}, which needs columns name and fx"

    @property
    def files(self) -> list[Path]:
        """Photos, depth maps, and frames.csv if it says focal lengths."""
        return [*super().files, *([self.path / FRAMES_FILE] if self.focals or self.scenes else [])]

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
        """Describe photos without depth, depth maps without photo, and splits of another name, one line each."""
        suffixes = {"rgb": photo_suffixes(), "depth": depth_suffixes()}
        photos, depths = ({file.stem for file in files_in(path / part, known)} for part, known in suffixes.items())
        both = ((photos - depths, "photos without depth"), (depths - photos, "depth maps without photo"))
        lines = [f"{len(names)} {what}, such as {min(names)}" for names, what in both if names]
        lines += [line for part, known in suffixes.items() if (line := others_in(path / part, known))]
        return lines + misnamed_splits(PairFolder.splits(path))


def read_names(path: Path) -> list[str]:
    """Read the names in a split file, one per line. Raises HqmdError if it is not text."""
    return [name for line in read_lines(path, "list of names") if (name := line.strip())]


def known_name(name: str, photos: dict[str, Path], depths: dict[str, Path]) -> str:
    """Return the name of a pair for a line of a split file.

    It may be quoted, have a suffix, or begin with rgb/ or depth/.
    """
    if name in photos or name in depths:
        return name
    bare = name.strip(QUOTES).replace("\\", "/").removeprefix("./").removeprefix("rgb/").removeprefix("depth/")
    stem = Path(bare).stem
    has_suffix = Path(bare).suffix.lower() in photo_suffixes() | depth_suffixes()
    return next((known for known in (bare, stem if has_suffix else bare) if known in photos or known in depths), name)


def once_each(pairs: list[Pair]) -> tuple[list[Pair], list[str]]:
    """Return each pair once, in order, and the names of those that are listed several times.

    A score counts each picture once, and training sees each of them once in an epoch.
    """
    kept: dict[tuple[Path, Path], Pair] = {}
    repeated: dict[str, None] = {}
    for pair in pairs:
        if kept.setdefault(pair[1:], pair) is not pair:
            repeated[pair[0]] = None
    return list(kept.values()), list(repeated)


def turned_remedy(photo: Path) -> str:
    """Say that EXIF lays a photo on its side, which its depth map does not follow; empty if it does not."""
    if orientation_of(photo) not in SIDEWAYS:
        return ""
    return f"; its EXIF orientation turns the photo, not the depth: turn the depth, or {UNTURN}"


def depth_suffixes() -> frozenset[str]:
    """Return the suffixes of readable depth maps."""
    return frozenset(DEPTH_READERS)


def near_miss(folder: Path) -> str:
    """Name the folders beside a missing one that could be meant, for a message; empty if there are none."""
    words = PHOTO_FOLDERS if folder.name == "rgb" else DEPTH_FOLDERS
    beside = sorted(f.name for f in folder.parent.iterdir() if f.is_dir()) if folder.parent.is_dir() else []
    plain = {name: name.lower().replace("_", "").replace("-", "") for name in beside if name not in ("rgb", "depth")}
    close = [f"{name}/" for name, letters in plain.items() if letters.startswith(words) or letters.endswith(words)]
    return f"; there is {' and '.join(close)}: if these are meant, rename to {folder.name}/" if close else ""


def others_in(folder: Path, suffixes: frozenset[str]) -> str:
    """Count the files in a folder that have none of the suffixes, for a message; empty if there are none."""
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    counted = (name for name in names if not name.startswith(".") and name.lower() not in JUNK)
    others = sorted(name for name in counted if Path(name).suffix.lower() not in suffixes)
    kinds = ", ".join(sorted({Path(name).suffix.lower() or "no suffix" for name in others}))
    return f"{len(others)} files in {folder.name}/ are left out for their suffix ({kinds})" if others else ""


def misnamed_splits(names: list[str]) -> list[str]:
    """Describe each split with a name like "Train" or "validation" if there is no train, val or test itself."""
    usual = {"train": "train", "val": "val", "valid": "val", "test": "test"}
    lines = []
    for name in names:
        meant = next((split for start, split in usual.items() if name.lower().startswith(start)), None)
        if meant and meant not in names:
            lines.append(f"split {name} is not looked at: call it {meant}, or pass --split {name}")
    return lines


def refuse_raw(path: Path, ground_truth: str) -> None:
    """Raise HqmdError for raw ground truth: the user's files do not say if holes were filled."""
    if ground_truth == "raw":
        raise HqmdError(
            f"{path}: a protocol on raw depth needs the official .mat, which holds it beside the filled one"
        )


def files_in(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """List the files in `folder` with one of `suffixes`, sorted; an empty list if there is no such folder."""
    if not folder.is_dir():
        return []  # names that begin with "._" are notes of macOS about other files
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in suffixes and not f.name.startswith("._"))


def files_by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """Map the stems of the files in `folder` to their paths. Raises HqmdError if two files share a stem."""
    if not folder.is_dir():
        raise HqmdError(f"{folder}: no such folder; a folder of pairs has {PairFolder.layout}{near_miss(folder)}")
    found: dict[str, Path] = {}
    for file in files_in(folder, suffixes):
        if file.stem in found:
            raise HqmdError(f"{file} and {found[file.stem].name} have one name; keep one of them")
        found[file.stem] = file
    return found
