"""What a protocol is: data that says what exactly a number is measured on, its words and its hash."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal, get_args

from hqmd_cli.errors import HqmdError

Alignment = Literal["none", "median", "scale-shift-depth", "scale-shift-disparity"]
Aggregation = Literal["mean", "pooled"]

ALIGNED_BY: dict[Alignment, str] = {
    "none": "no alignment",
    "median": "aligned by the ratio of medians",
    "scale-shift-depth": "aligned by scale and shift in depth",
    "scale-shift-disparity": "aligned by scale and shift in disparity",
}
AGGREGATED_AS: dict[Aggregation, str] = {"mean": "mean over pictures", "pooled": "pooled over pixels"}
DIGEST_LENGTH = 8  # hex digits: enough to tell a few protocols apart, short enough for a caption


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to score depth maps, in the order in which its steps are taken.

    Rows and columns are Python slices, ends exclusive, of the truth as it is compared. Raises HqmdError naming the
    field when the fields contradict each other.
    """

    name: str
    ground_truth: Literal["filled", "raw"]
    source: str = ""
    frames: tuple[tuple[int, int], ...] = ()  # (H, W) of the truths it is made for; none: any
    flip: bool = False  # the depth of the photo and of its mirror image, mirrored back, are averaged
    compared_at: tuple[int, int] | None = None  # (H, W) to which prediction and truth are reduced; None: the truth's
    crop: tuple[int, int, int, int] | None = None  # top, bottom, left, right
    crop_shares: tuple[float, float, float, float] | None = None  # the same, of height and width, cut to whole pixels
    depth_range_m: tuple[float, float] | None = None  # truth at its ends or outside is not scored
    alignment: Alignment = "none"  # of each picture, on its scored pixels
    clip_m: tuple[float, float] | None = None  # what predictions are clipped into
    aggregation: Aggregation = "mean"  # which of both is printed; a metric that cannot be pooled is a mean in any case

    def __post_init__(self) -> None:
        require(bool(self.name), "name", "must not be empty")
        require(self.ground_truth in ("filled", "raw"), "ground_truth", "must be filled or raw")
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
            # Logarithms are taken of what is clipped.
            require(0 < self.clip_m[0] < self.clip_m[1], "clip_m", "must be near, far in metres, both positive")

    @cached_property
    def digest(self) -> str:
        """Eight hex digits that are equal for equal ways to measure, whatever their names and sources.

        What a field leaves at its default is left out, so that a field added later changes no published digest.
        """
        import hashlib  # here, as --help has no use for it
        import json

        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("name", "source")}
        defaults = {f.name: f.default for f in fields(self)}
        canonical = json.dumps({key: value for key, value in told.items() if value != defaults[key]}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]

    def recipe(self, ground_truth: str) -> str:
        """The protocol in words, for the line under a table; `ground_truth` is what the data really offered."""
        parts = [
            f"{ground_truth} ground truth" if ground_truth == self.ground_truth else f"ground truth {ground_truth}"
        ]
        if self.flip:
            parts.append("averaged with the mirrored photo")
        if self.compared_at:
            height, width = self.compared_at
            parts.append(f"compared at {width} x {height} (prediction averaged over areas, truth the nearest pixel)")
        parts += [self.region(), self.limits(), ALIGNED_BY[self.alignment], AGGREGATED_AS[self.aggregation]]
        return ", ".join(parts)

    def region(self) -> str:
        """Which pixels, in words."""
        if self.crop:
            top, bottom, left, right = self.crop
            return f"crop [{top}:{bottom}, {left}:{right}]"
        if self.crop_shares:
            upper, lower, first, last = self.crop_shares
            return f"crop {upper} to {lower} of the height, {first} to {last} of the width"
        return "whole picture"

    def limits(self) -> str:
        """Which depths, in words."""
        limit = "truth within {:g}..{:g} m".format(*self.depth_range_m) if self.depth_range_m else "no depth limit"
        if not self.clip_m:
            return f"{limit}, no clipping"
        same = self.clip_m == self.depth_range_m
        return f"{limit}, predictions clipped to {'it' if same else '{:g}..{:g} m'.format(*self.clip_m)}"


def require(holds: bool, field: str, demand: str) -> None:
    """Raise HqmdError naming the field where a demand on it does not hold."""
    if not holds:
        raise HqmdError(f"{field} {demand}")
