"""The kinds of file that predict writes: the one list behind --format, -o, their help and the table in docs/predict.md.

Imports nothing heavy, so that --help and the start of `hqmd predict` stay quick.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hqmd_cli.registry import lazy
from hqmd_cli.units import IN_WORDS, Kind

Write = Callable[..., str]  # (path, DepthResult, Look) -> a remark about this file, or an empty string


@dataclass(frozen=True)
class Output:
    """One kind of file."""

    suffix: str
    write: Write
    note: str  # what its numbers mean; {unit} stands for the unit of the map
    needs_camera: bool = False  # True if its numbers depend on the focal length
    needs_metres: bool = False  # True if it claims metres
    check: Callable[[], Any] = lambda: None  # raises HqmdError, before anything is computed, if it cannot be written

    def note_of(self, kind: Kind) -> str:
        """Return `note` with the unit of a map of this kind."""
        return self.note.format(unit=IN_WORDS[kind])

    @property
    def suffixes(self) -> list[str]:
        """Every suffix that asks for this kind of file."""
        return [suffix for suffix, output in BY_SUFFIX.items() if output.write is self.write]


def of_depth(write: Callable[..., Any]) -> Write:
    """Make an output's writer from one that takes (path, depth)."""

    def write_depth(path: Path, result: Any, look: Any) -> str:
        write(path, result.depth_m)
        return ""

    return write_depth


def of_surface(write: Write) -> Write:
    """Make an output's writer from one that takes (path, result, edge_rtol)."""
    return lambda path, result, look: write(path, result, look.edge_rtol)


DEFAULT_FORMAT = "color"
OUTPUTS = {
    "color": Output(".png", lazy("hqmd_cli.prediction.outputs:write_color"), "colours from near to far"),
    "mm": Output(
        ".mm.png",
        of_depth(lazy("hqmd_cli.files.depth_files:write_depth_mm")),
        "16-bit PNG in millimetres",
        needs_metres=True,
    ),
    "npy": Output(".npy", of_depth(lazy("hqmd_cli.files.depth_files:write_depth_npy")), "float32 {unit}"),
    "tiff": Output(".tiff", lazy("hqmd_cli.prediction.outputs:write_tiff"), "float32 {unit}"),
    "ply": Output(
        ".ply",
        of_surface(lazy("hqmd_cli.prediction.writers:write_ply")),
        "points in metres: x right, y up, the camera at 0",
        needs_camera=True,
        needs_metres=True,
        check=lazy("hqmd_cli.prediction.writers:require_trimesh"),
    ),
    "glb": Output(
        ".glb",
        of_surface(lazy("hqmd_cli.prediction.writers:write_glb")),
        "mesh in metres: x right, y up, the camera at 0",
        needs_camera=True,
        needs_metres=True,
        check=lazy("hqmd_cli.prediction.writers:require_trimesh"),
    ),
    "normals": Output(
        ".normals.png",
        of_surface(lazy("hqmd_cli.prediction.writers:write_normals")),
        "normals: red right, green up, blue to the camera",
        needs_camera=True,
        needs_metres=True,  # up to a factor, but no shift
    ),
}
OTHER_SUFFIXES = {".jpg": "color", ".jpeg": "color", ".tif": "tiff"}
BY_SUFFIX = {output.suffix: output for output in OUTPUTS.values()} | {
    suffix: replace(OUTPUTS[name], suffix=suffix) for suffix, name in OTHER_SUFFIXES.items()
}
LONGEST_FIRST = sorted(BY_SUFFIX, key=len, reverse=True)


def output_for(path: Path) -> Output | None:
    """Find the kind of file that a path's suffix asks for, the longest suffix first; None for any other suffix."""
    name = path.name.lower()
    return next((BY_SUFFIX[suffix] for suffix in LONGEST_FIRST if name.endswith(suffix)), None)
