"""Small data in memory, models that are wrong in a known way, and the report on them."""

from dataclasses import dataclass, replace

import numpy as np

from conftest import scene
from hqmd_cli.data.sample import Sample, sample_from
from hqmd_cli.evaluation.evaluate import score_each
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.results import collect
from hqmd_cli.evaluation.significance import comparisons_of
from hqmd_cli.reporting.html.page import Report

NAMES = [
    "<script>alert(1)</script>",
    'a "quoted" name',
    "50% off",
    "drive/image_02/0005",
    "ünï & <b>cöde</b>",
    "plain",
    "-figures",
    "</template></script><img src=x onerror=alert(2)>",
]
WHOLE = Protocol(name="whole", ground_truth="filled")
CROPPED = replace(WHOLE, name="cropped", frames=((48, 64),), crop=(8, 40, 4, 60))


@dataclass(frozen=True)
class Scenes:
    """Small pictures in memory, with names that no file system would take."""

    names: list[str]
    ground_truth: str = "filled"
    description: str = "scenes <i>of</i> a test"

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        return sample_from(self.names[index], *scene(index, (48, 64)))


def times(*factors: float) -> PredictionSource:
    """What multiplies the truth, by another factor from one picture to the next."""
    return PredictionSource(
        lambda sample: sample.depth_m * np.float32(factors[NAMES.index(sample.name) % len(factors)])
    )


def report_of(
    sources: dict[str, PredictionSource],
    protocol: Protocol = WHOLE,
    names: list[str] = NAMES,
    most: int = 100,
    **more: bool,
) -> Report:
    data = Scenes(names)
    results = {
        name: collect(score_each(source, data, protocol, by_depth=True, **more), data, protocol)
        for name, source in sources.items()
    }
    return Report(results, data, sources, comparisons_of(results), "hqmd compare <b>", most)


JUDGED = {"near & <far>": times(1.1, 1.2, 1.3, 1.05), "photo": times(0.9, 0.8)}
REPORT = report_of(JUDGED)
