"""What evaluate and compare share: models and data by name, scored with a progress bar."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hqmd_cli.evaluation.alignment import align
from hqmd_cli.evaluation.prediction_source import Judged
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.results import Result
from hqmd_cli.reporting.tables import caption
from hqmd_cli.visualization.comparison_grid import GridRow, comparison_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hqmd_cli.data.sample import Dataset, Sample
    from hqmd_cli.evaluation.prediction_source import Map


def draw_grid(all_judged: Mapping[str, Judged], results: dict[str, Result], dataset: "Dataset", rows: int) -> "Figure":
    """`rows` photos, evenly spaced over the dataset, with truth and every model's depth, fitted where it has to be."""
    chosen = range(0, len(dataset), max(1, len(dataset) // rows))[:rows]
    samples = [dataset[index] for index in chosen]
    protocol = next(iter(results.values())).protocol
    cells = [
        GridRow(s.name, s.image, [s.depth_m, *(in_metres(judged, s, protocol) for judged in all_judged.values())])
        for s in samples
    ]
    return comparison_grid(cells, list(all_judged), caption(results))


def in_metres(judged: Judged, sample: "Sample", protocol: Protocol) -> "Map":
    """The map of a sample as it is shown beside the truth: what has no metres gets them by the protocol's fit."""
    values = judged(sample)
    if judged.kind == "depth":
        return values
    fitted = align(values, sample.depth_m, sample.valid, protocol.alignment, judged.kind == "disparity")
    return fitted.clip(*protocol.clip_m) if protocol.clip_m else fitted
