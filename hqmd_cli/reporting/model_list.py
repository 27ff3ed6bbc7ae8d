"""The lists of `hqmd models`: bundled checkpoints, the catalogue of third-party models, and the systems to train.

Figures come from config.json, and what is known of systems from the catalogue's file, as their classes import torch.
Seconds are measured. The tables fit 80 columns; JSON has everything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hqmd_cli.checkpoints.card import WEIGHTS_LICENCE
from hqmd_cli.checkpoints.catalogue import facts
from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import HUB_FILES, bundled_models
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError, complain
from hqmd_cli.models import SYSTEMS, build_system
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.registry import resolve
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.units import DIGITS, IN_WORDS

if TYPE_CHECKING:
    from hqmd_cli.checkpoints.catalogue import Entry

SHOWN_METRICS = ("AbsRel", "log10", "RMSE", "delta1")  # of the eleven in a checkpoint's figures, as columns
TIMED_PICTURES = 5  # after one to warm up


@dataclass(frozen=True)
class SystemRow:
    """A system with the settings of its authors."""

    name: str
    authors: str
    source: str
    weights: str  # where trained weights are, and their licence
    size: tuple[int, int]  # (H, W) of its input
    parameters: int
    seconds: float | None = None  # per picture of that size

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; without seconds unless they were measured."""
        plain = {key: value for key, value in asdict(self).items() if key != "seconds"} | {"size": list(self.size)}
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
    known = facts()["system"]
    SYSTEMS.extend()
    rows = []
    for name in watch(list(SYSTEMS)):
        try:
            row = system_row(name, known[name]) if name in known else counted_row(name)
        except HqmdError as error:  # of another package, which cannot be imported
            complain(error)
            continue
        rows.append(replace(row, seconds=seconds_of(from_paper(name, {})[0])) if timed else row)
    return rows


def system_row(name: str, known: Mapping[str, Any]) -> SystemRow:
    """Return what the catalogue's file says of a system."""
    height, width = known["size"]
    return SystemRow(name, known["authors"], known["source"], known["weights"], (height, width), known["parameters"])


def counted_row(name: str) -> SystemRow:
    """Return what a system's class says; its parameters are counted. Imports torch."""
    config = from_paper(name, {})[0]
    paper = resolve(SYSTEMS, name, "model").paper
    return SystemRow(name, paper.authors, paper.url, paper.weights, config.network.size, parameters_of(config))


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
    heads = ["system", "by", "size", "parameters [M]", *(["s / picture"] if timed else [])]
    lines = [
        [
            row.name,
            row.authors,
            f"{row.size[0]} x {row.size[1]}",
            f"{row.parameters / 1e6:.1f}",
            *([f"{row.seconds:.3f}"] if row.seconds is not None else []),
        ]
        for row in rows
    ]
    caption = "hqmd train --model SYSTEM trains one with its authors' settings; --json has sources and licences"
    if timed:
        import torch

        caption += f"; median of {TIMED_PICTURES} pictures of that size, torch on {torch.get_num_threads()} CPU threads"
    return Table(heads, lines, caption, words=2)


def bundled_table(rows: list[BundledRow]) -> Table:
    """Make the table of bundled checkpoints, with the protocol of the figures below it."""
    lines = []
    for row in rows:
        metrics = row.figures.get("metrics", {})
        known = (metrics.get(name) for name in SHOWN_METRICS)
        figures = ["-" if value is None else f"{value:.{DIGITS}f}" for value in known]
        lines.append([row.name, f"{row.bytes / 1e6:.1f}", *figures, str(row.figures.get("n", "-"))])
    measured = {
        f"measured on {row.figures['data']}, protocol {row.figures['protocol']}: {row.figures['recipe']}": None
        for row in rows
        if row.figures
    }
    apart = ["of different protocols or data: do not rank the models by these figures"] if len(measured) > 1 else []
    caption = "\n".join([*measured, *apart, f"licence: {WEIGHTS_LICENCE}"])
    return Table(["bundled model", "on disk [MB]", *SHOWN_METRICS, "n"], lines, caption, words=1)


def catalogue_table(entries: Sequence["Entry"]) -> Table:
    """Make the table of third-party models."""
    lines = [
        [
            entry.name,
            "metres" if entry.kind == "depth" else entry.kind,
            entry.focal or "-",
            entry.commercial,
            "onnx" if entry.onnx else "torch",
            "-" if entry.parameters is None else f"{entry.parameters:.0f}",
            "-" if entry.mb is None else str(entry.mb),
        ]
        for entry in entries
    ]
    untried = [entry.name for entry in entries if not entry.tried]
    which = "all" if len(untried) == len(entries) else ", ".join(untried)
    caption = (
        "hqmd predict -m MODEL downloads one once; focal: its metres need the focal length, or it gives one; com. use: "
        "whether the licence of the weights allows commercial use; M: million parameters; MB: of the download; --json "
        "has licences and sources"
    )
    caption += f"\nnot tried here yet (hqmd models --verify MODEL): {which}" if untried else ""
    return Table(["third-party model", "gives", "focal", "com. use", "by", "M", "MB"], lines, caption, words=5)


def entry_text(entry: "Entry") -> str:
    """Describe a model of the catalogue for `hqmd info`."""
    focal = {"needs": "; its metres need the focal length", "gives": "; gives the focal length", "": ""}[entry.focal]
    size = [f"{entry.parameters:g} million parameters"] if entry.parameters else []
    size += [f"{entry.mb} MB"] if entry.mb else []
    backends = {"onnx": entry.onnx, "torch": entry.hf}
    lines = [
        f"{entry.name}: {entry.title}",
        f"gives: {IN_WORDS[entry.kind]}{focal}",
        *([f"size: {', '.join(size)}"] if size else []),
        f"licence of the weights: {entry.licence}; commercial use: {entry.commercial}",
        *(f"opens as: {entry.address(backend)}" for backend, there in backends.items() if there),
        f"tried here: {entry.tried or f'no; hqmd models --verify {entry.name} does'}",
        *(f"source: {source}" for source in entry.source),
    ]
    return "\n".join(lines)
