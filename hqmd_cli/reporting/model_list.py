"""The lists of `hqmd models`: systems to train, with origin, size and speed, and the bundled checkpoints.

Parameters are counted, seconds are measured, and figures come from config.json. The systems need torch, the bundled
checkpoints do not.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hqmd_cli.checkpoints.card import WEIGHTS_LICENCE
from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import HUB_FILES, bundled_models
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models import SYSTEMS, build_system
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.registry import resolve
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.units import DIGITS

if TYPE_CHECKING:
    from hqmd_cli.models.base import Paper

SHOWN_METRICS = ("AbsRel", "log10", "RMSE", "delta1")  # of the eleven in a checkpoint's figures, as columns
TIMED_PICTURES = 5  # after one to warm up


@dataclass(frozen=True)
class SystemRow:
    """A system with the settings of its authors."""

    name: str
    paper: "Paper"
    size: tuple[int, int]  # (H, W) of its input
    parameters: int
    seconds: float | None = None  # per picture of that size

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; without seconds unless they were measured."""
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
    """A bundled checkpoint."""

    name: str
    system: str
    bytes: int
    figures: dict[str, Any]  # as in config.json; empty if nothing was measured

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def system_rows(timed: bool, watch: Callable[[list[str]], Iterator[str]] = iter) -> list[SystemRow]:
    """List every system; `timed` also measures its seconds a picture, with random weights.

    `watch` wraps the names, for example with a progress bar.
    """
    rows = []
    for name in watch(list(SYSTEMS)):
        config = from_paper(name, {})[0]
        seconds = seconds_of(config) if timed else None
        rows.append(
            SystemRow(name, resolve(SYSTEMS, name, "model").paper, config.network.size, parameters_of(config), seconds)
        )
    return rows


def parameters_of(config: ModelConfig) -> int:
    """Count the parameters of a network, which is built on torch's meta device: shapes without values."""
    import torch

    with torch.device("meta"):
        network = build_system(config, backbone_weights=None)
    return sum(parameter.numel() for parameter in network.parameters())


def seconds_of(config: ModelConfig) -> float:
    """Measure the median seconds of one picture of config.size in torch on this CPU, from bytes to metres."""
    import torch

    from hqmd_cli.inference.engines.check_pictures import check_pictures
    from hqmd_cli.inference.engines.pytorch import TorchEngine

    engine = TorchEngine(build_system(config, "none"), torch.device("cpu"))
    (picture,) = check_pictures([config.network.size])
    engine(picture)
    seconds = []
    for _ in range(TIMED_PICTURES):
        began = perf_counter()
        engine(picture)
        seconds.append(perf_counter() - began)
    return median(seconds)


def bundled_rows() -> list[BundledRow]:
    """List every bundled checkpoint."""
    return [bundled_row(name, folder) for name, folder in bundled_models().items()]


def bundled_row(name: str, folder: Path) -> BundledRow:
    """Describe a bundled checkpoint. Raises HqmdError if its config cannot be read."""
    info = read_info(folder)
    sizes = [(folder / file).stat().st_size for file in HUB_FILES if (folder / file).is_file()]
    return BundledRow(name, info.model.network.system, sum(sizes), info.figures)


def systems_table(rows: list[SystemRow]) -> Table:
    """Make the table of systems."""
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
        import torch

        caption += f"; median of {TIMED_PICTURES} pictures of that size, torch on {torch.get_num_threads()} CPU threads"
    return Table(heads, lines, caption, words=4)


def bundled_table(rows: list[BundledRow]) -> Table:
    """Make the table of bundled checkpoints, with the protocol of the figures in each row."""
    lines = []
    for row in rows:
        metrics = row.figures.get("metrics", {})
        known = (metrics.get(name) for name in SHOWN_METRICS)
        figures = ["-" if value is None else f"{value:.{DIGITS}f}" for value in known]
        about = [str(row.figures.get(key, "-")) for key in ("protocol", "data", "n")]
        lines.append([row.name, row.system, *about[:2], f"{row.bytes / 1e6:.1f}", *figures, about[2]])
    recipes = {str(row.figures["protocol"]): str(row.figures["recipe"]) for row in rows if row.figures}
    notes = [f"protocol {name}: {recipe}" for name, recipe in recipes.items()]
    caption = "\n".join([*notes, f"licence: {WEIGHTS_LICENCE}"])
    return Table(
        ["bundled model", "system", "protocol", "measured on", "on disk [MB]", *SHOWN_METRICS, "n"],
        lines,
        caption,
        words=4,
    )
