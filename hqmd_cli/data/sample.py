"""Samples, and the contract of every dataset."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.units import Kind

WHOLE = "all"  # the split that every dataset without splits of its own has
TOLERATED_FAULTS = 0.01  # share of missing and broken frames: they are left out and named; with more nothing starts
GroundTruth = Literal["filled", "raw", "as given", "warped"]  # warped: as MoGe's evaluation does (data/moge.py)


@dataclass(frozen=True)
class Sample:
    """One photo with its depth."""

    name: str
    image: NDArray[np.uint8]  # (H, W, 3) RGB, upright
    depth_m: NDArray[np.float32]  # (H, W) metres; 0 where unknown
    valid: NDArray[np.bool_]  # (H, W) True where depth_m can be trusted
    edges: NDArray[np.bool_] | None = None  # (H, W) depth edges drawn by hand; None if there are none
    focal_px: float | None = None  # of the photo's camera, at this size; None: NYU's camera is assumed
    masked: int = 0  # pixels whose number stands for "no depth", such as 65535 (data/no_depth.py); not in the cache
    remarks: tuple[str, ...] = ()  # what was chosen or guessed when the photo was read; not in the cache
    kind: Kind = "depth"  # of depth_m: only a teacher's labels may be no metres (training/unlabelled.py)
    planes: NDArray[np.uint8] | None = None  # (H, W) planes that people marked, from 1; 0: none; not in the cache
    camera: Intrinsics | None = None  # measured by the authors, for metrics in space; not in the cache

    @property
    def camera_factor(self) -> float:
        """What depth as NYU's camera would see it is multiplied by (geometry/camera.py)."""
        if self.focal_px is None:  # most data sets, and training asks for every picture
            return 1.0
        height, width = self.depth_m.shape
        return find_intrinsics(height, width, fx=self.focal_px).metres_factor(height, width)


class Dataset(Protocol):
    """A list of samples. Cheap to open and to pickle; reads a sample when it is indexed.

    Indexing raises HqmdError naming the file for a sample that cannot be read.
    """

    ground_truth: GroundTruth  # "as given": the files do not say if holes were filled
    description: str  # for the line under a table, such as "nyu.mat, test"

    @property
    def names(self) -> list[str]:
        """Names of the samples, in order, without reading them."""

    @property
    def photos(self) -> list[str]:
        """One string per sample that identifies its photo, so that training and validation data can be compared."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class FileDataset(Dataset):
    """A dataset that users open by its path: base class of everything in `hqmd_cli.data.DATASETS`.

    The constructor opens one split and raises HqmdError if the files do not fit. tests/data/test_contract.py checks
    every class against this contract.
    """

    title: str = ""  # of a published set: the name that its authors use
    home: str = ""  # where a published set is had
    licence: str = ""  # of a published set; says so if it was not read in the set's own words
    layout: str = ""  # how the files lie in the folder; empty for a format that is a single file
    split_help: str  # how the user gets a split, for the message about a split that does not exist
    units_per_metre: float | None = None  # of the depth files, where the user may state it
    step_mm: float | None = None  # between two depths of 8-bit files

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None: ...

    def focal_px(self, index: int) -> float | None:
        """Return the focal length of a sample's photo, in pixels, without reading it; None if it is unknown."""
        return None

    @property
    def scenes(self) -> Mapping[str, str]:
        """The scene of samples by their names, such as a room, whose pictures depend on each other; empty: unknown."""
        return {}

    @property
    def files(self) -> list[Path]:
        """Every file that samples are read from. A change of one of them outdates the cache."""
        raise NotImplementedError

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if the folder `path` has this layout; never asked of a format that is a single file."""
        raise NotImplementedError

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Names of the splits at `path`."""
        raise NotImplementedError

    @staticmethod
    def unpaired(path: Path) -> list[str]:
        """Describe photos without depth and depth maps without photo, one line each."""
        return []


def sample_from(
    name: str,
    image: NDArray[np.uint8],
    depth_m: NDArray[np.float32],
    focal_px: float | None = None,
    remarks: tuple[str, ...] = (),
) -> Sample:
    """Pair a photo (H, W, 3) with its depth (H, W). Depth is valid where it is finite and positive, and 0 elsewhere.

    Infinite depth counts as masked: the readers put it where a file has a number that stands for "no depth". Raises
    ValueError if the sizes differ.
    """
    if image.shape[:2] != depth_m.shape:
        raise ValueError(f"photo is {image.shape[1]} x {image.shape[0]}, depth {depth_m.shape[1]} x {depth_m.shape[0]}")
    known_m = np.where((depth_m > 0) & (depth_m < np.inf), depth_m, np.float32(0))
    return Sample(name, image, known_m, known_m > 0, None, focal_px, int(np.isposinf(depth_m).sum()), remarks)


def scenes_of(dataset: Dataset) -> Mapping[str, str]:
    """Return the scene of samples by their names, for data that knows it; or else nothing."""
    scenes: Mapping[str, str] = getattr(dataset, "scenes", {})
    return scenes


class Part:
    """Some samples of a dataset, in its order."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, list(indices)
        self.ground_truth, self.description = dataset.ground_truth, dataset.description

    @property
    def names(self) -> list[str]:
        """Names of the samples, in order."""
        return [self.dataset.names[index] for index in self.indices]

    @property
    def photos(self) -> list[str]:
        """One string per sample that identifies its photo."""
        return [self.dataset.photos[index] for index in self.indices]

    @property
    def scenes(self) -> Mapping[str, str]:
        """The scene of samples by their names; empty: unknown."""
        return scenes_of(self.dataset)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]


def remarks_in_words(remarks: Iterable[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Sum up the remarks on photos, given as (name, remarks): one line for all that differ only in numbers."""
    photos: dict[str, list[tuple[str, str]]] = {}
    for name, each in remarks:
        for remark in each:
            photos.setdefault(re.sub(r"\d+", "", remark), []).append((name, remark))
    for alike in photos.values():
        name, remark = alike[0]
        yield f"{len(alike)} photos, such as {name}: {remark}"


def too_many(faults: int, total: int) -> bool:
    """True if more pictures are missing or damaged than check, train and evaluate leave out."""
    return faults > TOLERATED_FAULTS * total


def evenly(total: int, most: int) -> list[int]:
    """Return up to `most` evenly spaced indices below `total`, including the first and the last."""
    return sorted({int(index) for index in np.linspace(0, total - 1, min(most, total))})
