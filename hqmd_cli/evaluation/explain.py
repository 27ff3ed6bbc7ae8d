"""What a name under or above a table stands for: a protocol's recipe, hash and source, or a metric's formula."""

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.metrics.registry import DETAIL_METRICS, EXTRA_PIXEL_METRICS, METRICS, Metric
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import FILE_SUFFIX, PROTOCOLS, find_protocol

ALL_METRICS: dict[str, Metric] = METRICS | EXTRA_PIXEL_METRICS | DETAIL_METRICS
BETTER = {"↓": "lower is better", "↑": "higher is better", "→1": "nearer to 1 is better"}


def explain(name: str) -> str:
    """A protocol (by name or file) or a metric, in a few lines. Raises HqmdError listing the names."""
    if name in PROTOCOLS or name.endswith(FILE_SUFFIX):
        return explain_protocol(find_protocol(name))
    if name in ALL_METRICS:
        return explain_metric(name, ALL_METRICS[name])
    raise HqmdError(
        f"nothing named {name!r} to explain; there are the protocols {', '.join(PROTOCOLS)} and the metrics "
        f"{', '.join(ALL_METRICS)}"
    )


def explain_protocol(protocol: Protocol) -> str:
    """Name, recipe, frames, hash and source."""
    frames = " or ".join(f"{width} x {height}" for height, width in protocol.frames) or "any"
    lines = {
        "protocol": protocol.name,
        "recipe": protocol.recipe(protocol.ground_truth),
        "frames": frames,
        "hash": protocol.digest,
        "source": protocol.source,
    }
    return in_lines(lines)


def explain_metric(name: str, metric: Metric) -> str:
    """Name, formula, unit, direction and source."""
    lines = {
        "metric": name,
        "formula": f"{metric.formula}  (d the prediction, g the truth)",
        "unit": "none, a pure number" if metric.unit == "1" else metric.unit,
        "better": BETTER[metric.arrow],
        "source": metric.source,
    }
    return in_lines(lines)


def in_lines(facts: dict[str, str]) -> str:
    """A line each, the values below each other."""
    width = max(map(len, facts))
    return "\n".join(f"{fact:{width}}  {value}" for fact, value in facts.items())
