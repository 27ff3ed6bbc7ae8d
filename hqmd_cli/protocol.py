"""Evaluation protocols: what exactly a number was measured on. Its name and recipe stand under every table."""

from dataclasses import dataclass
from typing import Literal

from hqmd_cli.registry import pick


@dataclass(frozen=True)
class Protocol:
    """One way to score depth maps. Rows and columns are Python slices of the ground truth's pixels."""

    name: str
    ground_truth: Literal["filled", "raw"]
    crop: tuple[int, int, int, int] | None  # top, bottom, left, right; ends exclusive
    frame: tuple[int, int] | None  # (H, W) the crop is meant for
    depth_range_m: tuple[float, float] | None  # truth outside is not scored, predictions are clipped into it
    source: str

    def recipe(self, ground_truth: str) -> str:
        """The protocol in words, for the line under a table; `ground_truth` is what the data really offered."""
        parts = [
            f"{ground_truth} ground truth" if ground_truth == self.ground_truth else f"ground truth {ground_truth}"
        ]
        if self.crop:
            top, bottom, left, right = self.crop
            parts.append(f"crop [{top}:{bottom}, {left}:{right}]")
        else:
            parts.append("whole picture")
        if self.depth_range_m:
            near, far = self.depth_range_m
            parts.append(f"truth within {near:g}..{far:g} m, predictions clipped to it")
        else:
            parts.append("no depth limit, no clipping")
        return ", ".join([*parts, "no alignment", "mean over pictures"])


EIGEN_CROP = (45, 471, 41, 601)  # the NYU toolbox' get_projection_mask.m as BTS and its followers index it
EIGEN_RANGE_M = (1e-3, 10.0)  # both ends exclusive for the truth; https://github.com/cleinc/bts, bts_eval.py

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("hqmd", "filled", None, None, None, "HQMD 4.2: the mean over all pixels of a picture"),
        Protocol(
            "eigen-filled",
            "filled",
            EIGEN_CROP,
            (480, 640),
            EIGEN_RANGE_M,
            "as eigen-raw, on NYU's in-filled depth",
        ),
        Protocol("eigen-raw", "raw", EIGEN_CROP, (480, 640), EIGEN_RANGE_M, "BTS and its followers: bts_eval.py"),
    )
}


def find_protocol(name: str) -> Protocol:
    """The protocol called `name`. Raises HqmdError listing the names when there is none."""
    return pick(PROTOCOLS, name, "protocol")
