"""Statistics of a split: a few numbers per frame, and a histogram of all depths. Pixels are not kept."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.check.near_duplicates import fingerprint, identity
from hqmd_cli.data.sample import FileDataset, Sample

# The histogram has bins of 0.7 %, from a millimetre to a kilometre.
LEAST_M, MOST_M, BINS = 1e-3, 1e3, 2000
FAR_OUT, MOST = 8.0, 90  # times beyond this percentile of the picture's depths; streets reach 6
COUNTED = 40_000  # pixels per frame, evenly spaced, that enter the histogram


@dataclass(frozen=True, slots=True)
class FrameStats:
    """Statistics of one frame."""

    size: tuple[int, int]  # (H, W)
    valid_share: float  # of the pixels
    nearest_m: float  # NaN without depth
    farthest_m: float  # NaN without depth
    at_farthest: float  # share of the depths that equal farthest_m
    identity: bytes
    fingerprint: NDArray[np.float32]
    masked: int = 0  # pixels whose number stands for "no depth"
    lonely: int = 0  # pixels far beyond all others
    beyond_m: float = float("nan")  # the farthest of these; NaN without
    remarks: tuple[str, ...] = ()  # what was chosen or guessed when the photo was read


@dataclass
class Split:
    """Statistics of one split, or the error with which it does not open."""

    name: str
    is_held_out: bool
    dataset: FileDataset | None = None
    error: str = ""
    frames: dict[int, FrameStats] = field(default_factory=dict)  # by index in the dataset
    unreadable: list[str] = field(default_factory=list)  # errors, one per frame
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def __len__(self) -> int:
        return 0 if self.dataset is None else len(self.dataset)

    @property
    def names(self) -> list[str]:
        """Names of the samples."""
        return [] if self.dataset is None else self.dataset.names

    @property
    def with_depth(self) -> list[FrameStats]:
        """Statistics of the frames that have any depth."""
        return [frame for frame in self.frames.values() if frame.valid_share > 0]

    def add(self, index: int, frame: FrameStats, counts: NDArray[np.int64]) -> None:
        """Add the statistics and the histogram of a frame."""
        self.frames[index] = frame
        self.counts += counts


def measure(dataset: FileDataset, index: int) -> tuple[Sample, FrameStats, NDArray[np.int64]]:
    """Read a frame; return it with its statistics and histogram. Raises HqmdError if it cannot be read."""
    sample = dataset[index]
    depths_m = sample.depth_m[sample.valid]
    nearest_m, farthest_m = (float(depths_m.min()), float(depths_m.max())) if depths_m.size else (np.nan, np.nan)
    frame = FrameStats(
        size=sample.depth_m.shape,
        valid_share=float(sample.valid.mean()),
        nearest_m=nearest_m,
        farthest_m=farthest_m,
        at_farthest=float(np.mean(depths_m == farthest_m)) if depths_m.size else 0.0,
        identity=identity(sample.image),
        fingerprint=fingerprint(sample.image),
        masked=sample.masked,
        remarks=sample.remarks,
        **lonely_depths(depths_m),
    )
    return sample, frame, histogram(depths_m)


def lonely_depths(depths_m: NDArray[np.float32]) -> dict[str, Any]:
    """Count the depths (N,) that lie FAR_OUT times beyond nearly all others: values of a limit, or of an error."""
    if not depths_m.size:
        return {}
    beyond = depths_m > FAR_OUT * np.percentile(depths_m[:: max(1, depths_m.size // COUNTED)], MOST)
    return {"lonely": int(beyond.sum()), "beyond_m": float(depths_m[beyond].max())} if beyond.any() else {}


def histogram(depths_m: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count some of the depths per bin, (BINS,). Depths beyond the range count in the first and last bin."""
    some_m = depths_m[:: max(1, depths_m.size // COUNTED)]
    bins = np.log(some_m / LEAST_M) * (BINS / np.log(MOST_M / LEAST_M))
    return np.bincount(bins.astype(int).clip(0, BINS - 1), minlength=BINS)


def percentile_m(counts: NDArray[np.int64], percent: float) -> float:
    """Return the depth below which `percent` of the depths lie, to half a bin; NaN if the histogram is empty."""
    total = counts.sum()
    if total == 0:
        return float("nan")
    middle = int(np.searchsorted(np.cumsum(counts), total * percent / 100)) + 0.5
    return LEAST_M * (MOST_M / LEAST_M) ** (middle / BINS)


def share_below(split: Split, depth_m: float) -> float:
    """Return the share of the depths below `depth_m`, to the width of a bin."""
    if depth_m <= LEAST_M:
        return 0.0
    end = round(np.log(depth_m / LEAST_M) * BINS / np.log(MOST_M / LEAST_M))
    return float(split.counts[:end].sum() / split.counts.sum())
