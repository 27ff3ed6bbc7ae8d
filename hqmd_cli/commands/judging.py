"""What evaluate and compare share: models and data by name, scored with a progress bar."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from hqmd_cli.data import default_data, open_dataset
from hqmd_cli.evaluation import Predict, Result, collect, score_each
from hqmd_cli.hub import find_checkpoint
from hqmd_cli.pictures import GridRow, comparison_grid
from hqmd_cli.predictor import DepthPredictor, load_predictor
from hqmd_cli.protocol import Protocol, find_protocol
from hqmd_cli.tables import caption, for_screen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hqmd_cli.data.sample import Dataset

TABLE_WIDTH = 120  # columns that the table needs; a narrower terminal breaks lines, but loses nothing


def open_judged(
    data: Path | None, split: str, protocol_name: str, depth_scale: float | None
) -> "tuple[Dataset, Protocol]":
    """The protocol, and the data with the ground truth that it asks for."""
    protocol = find_protocol(protocol_name)
    dataset = open_dataset(data or default_data(), split, protocol.ground_truth, depth_scale)
    print(f"data: {dataset.description}, {len(dataset)} pictures", file=sys.stderr)
    return dataset, protocol


def load_predictors(
    models: list[str], backend: str, device: str, sides: tuple[int, ...], size: str, flip: bool
) -> dict[str, DepthPredictor]:
    """Every model by its name; all are found before the first is loaded."""
    folders = {name: find_checkpoint(name) for name in models}
    return {name: load_predictor(folder, backend, device, sides, flip, size=size) for name, folder in folders.items()}


def judge(predictors: Mapping[str, Predict], dataset: "Dataset", protocol: Protocol) -> dict[str, Result]:
    """Model -> its figures."""
    screen = Console(stderr=True)
    results = {}
    for name, predict in predictors.items():
        scores = score_each(predict, dataset, protocol)
        shown = track(
            scores, escape(name), len(dataset), console=screen, transient=True, disable=not screen.is_terminal
        )
        results[name] = collect(shown, dataset, protocol)
    return results


def print_table(results: dict[str, Result]) -> None:
    """The table on stdout."""
    Console(width=max(Console().width, TABLE_WIDTH)).print(for_screen(results))


def draw_grid(predictors: Mapping[str, Predict], results: dict[str, Result], dataset: "Dataset", rows: int) -> "Figure":
    """`rows` photos, evenly spaced over the dataset, with truth and every model's depth."""
    chosen = range(0, len(dataset), max(1, len(dataset) // rows))[:rows]
    samples = [dataset[index] for index in chosen]
    cells = [GridRow(s.name, s.image, [s.depth_m, *(p(s.image) for p in predictors.values())]) for s in samples]
    return comparison_grid(cells, list(predictors), caption(results))
