"""What the server counts, as Prometheus reads it (text format 0.0.4).

Labels come from fixed sets: no line is added for each path, model or client that somebody makes up.
"""

from collections import Counter
from collections.abc import Callable, Iterator

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
OTHER = "other"  # of paths that are not there
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts of answered requests, and how long they took."""

    def __init__(self, routes: tuple[str, ...], gauges: dict[str, tuple[str, Callable[[], float]]]) -> None:
        self.routes, self.gauges = routes, gauges
        self.answered: Counter[tuple[str, int]] = Counter()
        self.within: Counter[float] = Counter()  # depth requests, by the smallest bucket that holds them
        self.seconds, self.count = 0.0, 0

    def route_of(self, path: str) -> str:
        """Return the label of a path."""
        return path if path in self.routes else OTHER

    def note(self, path: str, status: int) -> None:
        """Count an answered request."""
        self.answered[self.route_of(path), status] += 1

    def note_depth(self, seconds: float) -> None:
        """Count a photo whose depth was sent, with the time from its last byte to the answer."""
        self.count += 1
        self.seconds += seconds
        self.within[next((bucket for bucket in BUCKETS_S if seconds <= bucket), float("inf"))] += 1

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text format."""
        yield from head("hqmd_requests_total", "counter", "Answered requests.")
        for (route, status), count in sorted(self.answered.items()):
            yield f'hqmd_requests_total{{route="{route}",status="{status}"}} {count}'
        yield from head("hqmd_depth_seconds", "histogram", "From the last byte of a photo to its answer.")
        below = 0
        for bucket in BUCKETS_S:
            below += self.within[bucket]
            yield f'hqmd_depth_seconds_bucket{{le="{bucket:g}"}} {below}'
        yield f'hqmd_depth_seconds_bucket{{le="+Inf"}} {self.count}'
        yield f"hqmd_depth_seconds_sum {self.seconds:.6f}"
        yield f"hqmd_depth_seconds_count {self.count}"
        for name, (about, value) in self.gauges.items():
            yield from head(name, "gauge", about)
            yield f"{name} {value():g}"

    def text(self) -> str:
        """Return everything, for GET /metrics."""
        return "".join(f"{line}\n" for line in self.lines())


def head(name: str, kind: str, about: str) -> Iterator[str]:
    """Yield the two lines that describe a metric."""
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
