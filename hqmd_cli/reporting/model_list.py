"""What there is to train and to use: systems with origin, size and speed, and the checkpoints that came with hqmd.

Nothing here is written down twice: parameters are counted, seconds are measured, figures are those of config.json.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import HUB_FILES, bundled_models
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.inference.engines.pytorch import TorchEngine
from hqmd_cli.models import SYSTEMS, build_system
from hqmd_cli.models.base import Paper
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.registry import resolve
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.units import DIGITS

SHOWN_METRICS = ("AbsRel", "log10", "RMSE", "delta1")  # those of the paper's Table 1
TIMED_PICTURES = 5  # after a first one, which sets things up


@dataclass(frozen=True)
class SystemRow:
    """A system with its authors' settings."""

    name: str
    paper: Paper
    size: tuple[int, int]  # (H, W) that it is trained at
    parameters: int
    seconds: float | None = None  # per picture of that size

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; no seconds where none were measured."""
        plain = {
            "name": self.name,
            "authors": self.paper.authors,
            "source": self.paper.url,
            "weights": self.paper.weights,
            "size": list(self.size),
            "parameters": self.parameters,
        }
        return plain if self.seconds is None else {**plain, "seconds": self.seconds}


@dataclass(frozen=True)
class BundledRow:
    """A checkpoint that came with hqmd."""

    name: str
    system: str
    bytes: int
    figures: dict[str, Any]  # as config.json has them; nothing where nothing was measured

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"name": self.name, "system": self.system, "bytes": self.bytes, "figures": self.figures}


def system_rows(timed: bool, watch: Callable[[list[str]], Iterator[str]] = iter) -> list[SystemRow]:
    """Every system; `timed` measures seconds, for which each is built with random weights, one after the other.

    `watch` passes the names on, such as rich.progress.track.
    """
    rows = []
    for name in watch(list(SYSTEMS)):
        config = from_paper(name, {})[0]
        seconds = seconds_of(config) if timed else None
        rows.append(SystemRow(name, resolve(SYSTEMS, name, "model").paper, config.size, parameters_of(config), seconds))
    return rows


def parameters_of(config: ModelConfig) -> int:
    """How many numbers training finds, counted on a network of shapes without values."""
    with torch.device("meta"):
        network = build_system(config, backbone_weights=None)
    return sum(parameter.numel() for parameter in network.parameters())


def seconds_of(config: ModelConfig) -> float:
    """Median time of one picture of config.size through torch on this CPU, bytes to metres."""
    from hqmd_cli.export.onnx_graph import check_pictures  # only here, for it brings ONNX Runtime

    engine = TorchEngine(build_system(config, "none"), torch.device("cpu"))
    (picture,) = check_pictures([config.size])
    engine(picture)
    seconds = []
    for _ in range(TIMED_PICTURES):
        began = perf_counter()
        engine(picture)
        seconds.append(perf_counter() - began)
    return median(seconds)


def bundled_rows() -> list[BundledRow]:
    """Every checkpoint that came with hqmd."""
    return [bundled_row(name, folder) for name, folder in bundled_models().items()]


def bundled_row(name: str, folder: Path) -> BundledRow:
    """One of them. Raises HqmdError when its config cannot be read."""
    info = read_info(folder)
    files = [folder / file for file in HUB_FILES]
    return BundledRow(
        name, info.model.system, sum(file.stat().st_size for file in files if file.is_file()), info.figures
    )


def systems_table(rows: list[SystemRow]) -> Table:
    """A row a system."""
    timed = all(row.seconds is not None for row in rows)
    heads = ["system", "by", "source", "trained weights", "size", "parameters [M]", *(["s / picture"] if timed else [])]
    lines = [
        [
            row.name,
            row.paper.authors,
            row.paper.url,
            row.paper.weights,
            f"{row.size[0]} x {row.size[1]}",
            f"{row.parameters / 1e6:.1f}",
            *([f"{row.seconds:.3f}"] if row.seconds is not None else []),
        ]
        for row in rows
    ]
    caption = "hqmd train --model SYSTEM trains one with its authors' settings"
    if timed:
        caption += f"; median of {TIMED_PICTURES} pictures of that size, torch on {torch.get_num_threads()} CPU threads"
    return Table(heads, lines, caption, words=4)


def bundled_table(rows: list[BundledRow]) -> Table:
    """A row a checkpoint; each figure bears its protocol."""
    lines = []
    for row in rows:
        metrics = row.figures.get("metrics", {})
        known = (metrics.get(name) for name in SHOWN_METRICS)
        figures = ["-" if value is None else f"{value:.{DIGITS}f}" for value in known]
        about = [str(row.figures.get(key, "-")) for key in ("protocol", "data", "n")]
        lines.append([row.name, row.system, *about[:2], f"{row.bytes / 1e6:.1f}", *figures, about[2]])
    recipes = {str(row.figures["protocol"]): str(row.figures["recipe"]) for row in rows if row.figures}
    caption = "\n".join(f"protocol {name}: {recipe}" for name, recipe in recipes.items())
    return Table(
        ["bundled model", "system", "protocol", "measured on", "on disk [MB]", *SHOWN_METRICS, "n"],
        lines,
        caption,
        words=4,
    )
