"""The kinds of file that predict writes: the one list behind --format, -o, their help and the table in docs/predict.md.

A new kind is a writer in writers/ and an entry of OUTPUTS. This module imports nothing heavy, so that --help is quick.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from hqmd_cli.errors import HqmdError
from hqmd_cli.registry import Registry
from hqmd_cli.units import IN_WORDS, Kind

if TYPE_CHECKING:
    from hqmd_cli.prediction.result import Encoded


@dataclass(frozen=True)
class Output:
    """One kind of file."""

    suffix: str
    writer: str  # "package.module:function"
    note: str  # what its numbers mean; {unit} stands for the unit of the map
    needs_camera: bool = False  # True if its numbers depend on the focal length
    needs_metres: bool = False  # True if it claims metres
    has_points: bool = False  # True for points and meshes, from which --max-uncertainty leaves some out
    needs_uncertainty: bool = False  # True if it is for models that know how sure they are

    @cached_property
    def encode(self) -> "Callable[..., Encoded]":
        """The writer: (path, DepthResult, Style) -> the content of the file, and a remark or an empty string."""
        try:
            return resolve_name(self.writer)
        except (ImportError, AttributeError) as error:  # of a package that adds it
            raise HqmdError(f"{self.suffix}: {self.writer}, which writes it, cannot be imported: {error}") from error

    def note_of(self, kind: Kind) -> str:
        """Return `note` with the unit of a map of this kind."""
        return self.note.format(unit=IN_WORDS[kind])

    @property
    def suffixes(self) -> list[str]:
        """Every suffix that asks for this kind of file."""
        return [suffix for suffix, output in BY_SUFFIX.items() if output.writer == self.writer]


DEFAULT_FORMAT = "color"
OUTPUTS = Registry(
    "hqmd.outputs",
    {
        "color": Output(".png", "hqmd_cli.prediction.writers.color:encode_color", "colours from near to far"),
        "mm": Output(
            ".mm.png", "hqmd_cli.prediction.writers.numbers:encode_mm", "16-bit PNG in millimetres", needs_metres=True
        ),
        "npy": Output(".npy", "hqmd_cli.prediction.writers.numbers:encode_map", "float32 {unit}"),
        "tiff": Output(".tiff", "hqmd_cli.prediction.writers.numbers:encode_tiff", "float32 {unit}"),
        "npz": Output(
            ".npz",
            "hqmd_cli.prediction.writers.numbers:encode_npz",
            "float32 {unit}, and the camera",
            needs_camera=True,
        ),
        "exr": Output(".exr", "hqmd_cli.prediction.writers.numbers:encode_exr_map", "OpenEXR, float32 {unit}"),
        "ply": Output(
            ".ply",
            "hqmd_cli.prediction.writers.space:encode_ply",
            "points in metres: x right, y up, the camera at 0",
            needs_camera=True,
            needs_metres=True,
            has_points=True,
        ),
        "glb": Output(
            ".glb",
            "hqmd_cli.prediction.writers.space:encode_glb",
            "mesh in metres: x right, y up, the camera at 0",
            needs_camera=True,
            needs_metres=True,
            has_points=True,
        ),
        "normals": Output(
            ".normals.png",
            "hqmd_cli.prediction.writers.space:encode_normals",
            "normals: red right, green up, blue to the camera",
            needs_camera=True,
            needs_metres=True,  # up to a factor, but without a shift
        ),
        "look": Output(
            ".look.html",
            "hqmd_cli.prediction.writers.look:encode_look",
            "a page of photo and depth to look at, {unit}",
            needs_camera=True,
            has_points=True,
        ),
        "uncertainty": Output(
            ".uncertainty.png",
            "hqmd_cli.prediction.writers.numbers:encode_uncertainty_png",
            "relative error of the shape, 16-bit PNG, 1 = 0.01 %",
            needs_uncertainty=True,
        ),
        "uncertainty-npy": Output(
            ".uncertainty.npy",
            "hqmd_cli.prediction.writers.numbers:encode_uncertainty_map",
            "relative error of the shape, float32, 1 = 100 %",
            needs_uncertainty=True,
        ),
    },
    needs=("suffix", "writer", "note_of"),
    of_strings=False,
)
VIDEO_OUTPUT = Output(".mp4", "", "colours from near to far, one range for the whole clip")  # see clip_job.py
OTHER_SUFFIXES = {".jpg": "color", ".jpeg": "color", ".tif": "tiff", ".html": "look"}
BY_SUFFIX = {output.suffix: output for output in OUTPUTS.values()} | {
    suffix: replace(OUTPUTS[name], suffix=suffix) for suffix, name in OTHER_SUFFIXES.items()
}
LONGEST_FIRST = sorted(BY_SUFFIX, key=len, reverse=True)


def output_for(path: Path) -> Output | None:
    """Find the kind of file that a path's suffix asks for, the longest suffix first; None for any other suffix."""
    name = path.name.lower()
    known = next((BY_SUFFIX[suffix] for suffix in LONGEST_FIRST if name.endswith(suffix)), None)
    if known is None and path.suffix not in ("", VIDEO_OUTPUT.suffix) and extend_outputs():
        return output_for(path)
    return known


def extend_outputs() -> bool:
    """Add the outputs of other packages; True if that adds any."""
    OUTPUTS.extend()
    added = {OUTPUTS[name].suffix: OUTPUTS[name] for name in OUTPUTS.plugged if OUTPUTS[name].suffix not in BY_SUFFIX}
    BY_SUFFIX.update(added)
    LONGEST_FIRST[:] = sorted(BY_SUFFIX, key=len, reverse=True)
    return bool(added)
