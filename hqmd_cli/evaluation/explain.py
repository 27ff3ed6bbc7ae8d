"""Explain a name in a table: a protocol's recipe, hash and source, or a metric's formula."""

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.metrics.registry import METRICS, Arrow, Metric, Pool
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import FILE_SUFFIX, PROTOCOLS, find_protocol

BETTER: dict[Arrow, str] = {
    "↓": "lower is better",
    "↑": "higher is better",
    "→1": "nearer to 1 is better",
    "→0.9": "nearer to 0.9 is better",
}
POOLED: dict[Pool, str] = {
    "mean": "mean over pixels",
    "root mean square": "root of the mean of squares over pixels",
    "per picture": "not at all: always the mean over pictures",
}


def explain(name: str) -> str:
    """Explain a protocol (by name or file) or a metric in a few lines. Raises HqmdError listing the names."""
    if name in PROTOCOLS or name.endswith(FILE_SUFFIX):
        return explain_protocol(find_protocol(name))
    if name in METRICS:
        return explain_metric(name, METRICS[name])
    raise HqmdError(
        f"no protocol or metric named {name!r}; there are the protocols {', '.join(PROTOCOLS)} and the metrics "
        f"{', '.join(METRICS)}"
    )


def explain_protocol(protocol: Protocol) -> str:
    """Give a protocol's name, recipe, frames, hash and source."""
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
    """Give a metric's name, formula, unit, direction, pooling and source."""
    lines = {
        "metric": name,
        "formula": f"{metric.formula}  (d the prediction, g the truth)",
        "unit": "none" if metric.unit == "1" else metric.unit,
        "better": BETTER[metric.arrow],
        "pooled": POOLED[metric.pool],
        "source": metric.source,
    }
    return in_lines(lines)


def in_lines(facts: dict[str, str]) -> str:
    """Write one fact a line, with aligned values."""
    width = max(map(len, facts))
    return "\n".join(f"{fact:{width}}  {value}" for fact, value in facts.items())
