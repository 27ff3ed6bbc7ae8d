"""A protocol: data that states exactly what is measured, with its words and its hash."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal, get_args

from hqmd_cli.errors import HqmdError

Alignment = Literal[
    "none",
    "median",
    "scale-shift-depth",
    "scale-shift-depth-trimmed",
    "scale-shift-disparity",
    "scale-shift-disparity-clamped",
]
Aggregation = Literal["mean", "pooled"]

ALIGNED_BY: dict[Alignment, str] = {
    "none": "no alignment",
    "median": "aligned by the ratio of medians",
    "scale-shift-depth": "aligned by scale and shift in depth",
    "scale-shift-depth-trimmed": "aligned by scale and shift in depth, fitted without the lowest and highest 5 %",
    "scale-shift-disparity": "aligned by scale and shift in disparity",
    "scale-shift-disparity-clamped": "aligned by scale and shift in disparity, clamped to the farthest truth",
}
AGGREGATED_AS: dict[Aggregation, str] = {"mean": "mean over pictures", "pooled": "pooled over pixels"}
DIGEST_LENGTH = 8  # hex digits: enough to tell a few protocols apart, short enough for a caption


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to score depth maps; the fields are in the order of the steps.

    Rows and columns are Python slices, ends exclusive, of the truth at the size of the comparison. Raises HqmdError
    naming the field if the fields contradict each other.
    """

    name: str
    ground_truth: Literal["filled", "raw", "warped"]  # warped: the view of data/moge.py
    source: str = ""
    frames: tuple[tuple[int, int], ...] = ()  # (H, W) of the truth; empty: any
    flip: bool = False  # average the depth of the photo and of its mirror image, mirrored back
    compared_at: tuple[int, int] | None = None  # (H, W) to which prediction and truth are reduced; None: the truth's
    crop: tuple[int, int, int, int] | None = None  # top, bottom, left, right
    crop_shares: tuple[float, float, float, float] | None = None  # crop in shares of height and width, rounded down
    depth_range_m: tuple[float, float] | None = None  # truth at its ends or outside is not scored
    alignment: Alignment = "none"  # of each picture, on its scored pixels
    clip_m: tuple[float, float] | None = None  # the range that predictions are clipped to
    all_points: bool = False  # metrics of points take every scored pixel; False: MOST_POINTS of point_cloud.py
    aggregation: Aggregation = "mean"  # of the printed figures; metrics that cannot be pooled are always means

    def __post_init__(self) -> None:
        require(bool(self.name), "name", "must not be empty")
        require(self.ground_truth in ("filled", "raw", "warped"), "ground_truth", "must be filled, raw or warped")
        require(self.alignment in ALIGNED_BY, "alignment", f"must be one of {', '.join(get_args(Alignment))}")
        require(self.aggregation in AGGREGATED_AS, "aggregation", "must be mean or pooled")
        sizes = [size for size in (*self.frames, self.compared_at) if size]
        require(all(min(size) > 0 for size in sizes), "frames, compared_at", "must be positive")
        require(not (self.crop and self.crop_shares), "crop, crop_shares", "exclude each other")
        if self.crop:
            top, bottom, left, right = self.crop
            cropped = [self.compared_at] if self.compared_at else self.frames
            require(bool(cropped), "crop", "needs the frames that it is for")
            inside = all(0 <= top < bottom <= height and 0 <= left < right <= width for height, width in cropped)
            require(inside, "crop", "must be top, bottom, left, right inside of the frame")
        if self.crop_shares:
            upper, lower, first, last = self.crop_shares
            inside = 0 <= upper < lower <= 1 and 0 <= first < last <= 1
            require(inside, "crop_shares", "must be top, bottom, left, right between 0 and 1")
        if self.depth_range_m:
            require(0 <= self.depth_range_m[0] < self.depth_range_m[1], "depth_range_m", "must be near, far in metres")
        if self.clip_m:
            # The metrics take logarithms.
            require(0 < self.clip_m[0] < self.clip_m[1], "clip_m", "must be near, far in metres, both positive")

    @cached_property
    def digest(self) -> str:
        """Eight hex digits, the same for protocols that measure the same, whatever their names and sources.

        Fields at their default are left out, so that a field added later changes no published digest.
        """
        import hashlib  # here, to keep --help quick
        import json

        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("name", "source")}
        defaults = {f.name: f.default for f in fields(self)}
        canonical = json.dumps({key: value for key, value in values.items() if value != defaults[key]}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]

    def recipe(self, ground_truth: str) -> str:
        """Describe the protocol for the caption of a table; `ground_truth` is the data's."""
        parts = [
            f"{ground_truth} ground truth" if ground_truth == self.ground_truth else f"ground truth {ground_truth}"
        ]
        if self.flip:
            parts.append("averaged with the mirrored photo")
        if self.compared_at:
            height, width = self.compared_at
            parts.append(f"compared at {width} x {height} (prediction averaged over areas, truth the nearest pixel)")
        parts += [self.region(), self.limits(), ALIGNED_BY[self.alignment], AGGREGATED_AS[self.aggregation]]
        if self.all_points:
            parts.append("points of every pixel")
        return ", ".join(parts)

    def row(self) -> tuple[str, str, str, str]:
        """The protocol's row in the documentation's table: name, ground truth, region and depth range."""
        size = ", at {1} x {0}".format(*self.compared_at) if self.compared_at else ""
        flip = ", averaged with the mirrored photo" if self.flip else ""
        pooled = f"; {AGGREGATED_AS['pooled']}" if self.aggregation == "pooled" else ""
        aligned = f"; {ALIGNED_BY[self.alignment]}" if self.alignment != "none" else ""
        return self.name, self.ground_truth, f"{self.region()}{size}{flip}", f"{self.limits()}{pooled}{aligned}"

    def region(self) -> str:
        """Describe the region that is scored."""
        if self.crop:
            top, bottom, left, right = self.crop
            return f"crop [{top}:{bottom}, {left}:{right}]"
        if self.crop_shares:
            upper, lower, first, last = self.crop_shares
            return f"crop {upper} to {lower} of the height, {first} to {last} of the width"
        return "whole picture"

    def limits(self) -> str:
        """Describe the depths that are scored, and the clipping."""
        limit = "truth within {:g}..{:g} m".format(*self.depth_range_m) if self.depth_range_m else "no depth limit"
        if not self.clip_m:
            return f"{limit}, no clipping"
        same = self.clip_m == self.depth_range_m
        return f"{limit}, predictions clipped to {'it' if same else '{:g}..{:g} m'.format(*self.clip_m)}"


def require(holds: bool, field: str, demand: str) -> None:
    """Raise HqmdError naming a field that does not meet a demand."""
    if not holds:
        raise HqmdError(f"{field} {demand}")
