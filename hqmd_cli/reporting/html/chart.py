"""Charts of the error over true depth: curves in, coordinates of an SVG out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.error_by_depth import Curve

Values = NDArray[np.float64]

# In units of the SVG; a phone shows about one unit a pixel.
WIDTH, HEIGHT = 360, 262
LEFT, RIGHT, TOP, BOTTOM = 44, 350, 10, 182  # edges of the plot
BARS_TOP, BARS_BOTTOM = 194, 230  # edges of the bars below it
METRES = (*(step * power for power in (0.1, 1, 10, 100) for step in (1, 2, 3, 5)), 1000)
LABEL_WIDTH = 26
Y_STEPS = 4  # on the y axis, about


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Dot:
    """The figure of one bin."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Line:
    """The errors of one model: SVG paths of the figures and of their intervals."""

    name: str
    path: str
    band: str
    dots: list[Dot]


@dataclass(frozen=True)
class Bar:
    """The number of pixels in a bin."""

    x: float
    width: float
    y: float
    height: float
    label: str


@dataclass(frozen=True)
class Chart:
    """Everything that the template draws for one chart."""

    title: str
    lines: list[Line]
    bars: list[Bar]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def charts(curves: Mapping[str, Curve]) -> list[Chart]:
    """Make two charts: the size of the error, and its sign. No chart if no bin is known."""
    if not next(iter(curves.values())).pixels.size:
        return []
    return [
        chart("AbsRel: mean of |d - g| / g", curves, lambda curve: curve.abs_rel),
        chart("Mean of (d - g) / g: above 0 is too far", curves, lambda curve: curve.signed),
    ]


def chart(title: str, curves: Mapping[str, Curve], of: Callable[[Curve], Values]) -> Chart:
    """Draw a line a model. `of` returns (B, 3) figures with interval ends; all curves share their bins, B > 0."""
    any_curve = next(iter(curves.values()))
    edges_m = any_curve.edges_m
    every = np.concatenate([of(curve) for curve in curves.values()])
    ticks = round_steps(min(0.0, float(np.nanmin(every))), float(np.nanmax(every)))
    low, high = ticks[0], ticks[-1]

    def y_of(values: Values) -> Values:
        return BOTTOM - (values - low) / (high - low) * (BOTTOM - TOP)

    x = x_of(np.sqrt(edges_m[1:] * edges_m[:-1]), edges_m)
    lines = [line(name, curve, of(curve), x, y_of(of(curve))) for name, curve in curves.items()]
    y_ticks = [Tick(float(at), f"{value:.3g}") for value, at in zip(ticks, y_of(np.array(ticks)), strict=True)]
    return Chart(title, lines, bars(any_curve), x_ticks(edges_m), y_ticks)


def x_of(depth_m: Values, edges_m: Values) -> Values:
    """Place depths on a logarithmic x axis from the first edge to the last."""
    share = np.log(depth_m / edges_m[0]) / np.log(edges_m[-1] / edges_m[0])
    return LEFT + share * (RIGHT - LEFT)


def line(name: str, curve: Curve, figures: Values, x: Values, y: Values) -> Line:
    """Draw (B, 3) figures at x, (B,), and y, (B, 3). Bins without a pixel interrupt the line."""
    known = ~np.isnan(y[:, 0])
    runs = [run for run in np.split(np.arange(len(x)), np.flatnonzero(~known)) if known[run].any()]
    runs = [run[known[run]] for run in runs]
    path = "".join(polyline(x[run], y[run, 0]) for run in runs)
    band = "".join(
        polyline(np.concatenate([x[run], x[run][::-1]]), np.concatenate([y[run, 1], y[run, 2][::-1]])) + "Z"
        for run in runs
    )
    dots = [
        Dot(float(x[i]), float(y[i, 0]), f"{name}, {bin_name(curve, i)}: {with_interval(figures[i])}")
        for i in np.flatnonzero(known).tolist()
    ]
    return Line(name, path, band, dots)


def polyline(x: Values, y: Values) -> str:
    """Write an SVG path through the points."""
    return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def bars(curve: Curve) -> list[Bar]:
    """Draw the number of pixels of each bin; the highest bar fills the height."""
    x = x_of(curve.edges_m, curve.edges_m)
    heights = curve.pixels / max(1, curve.pixels.max()) * (BARS_BOTTOM - BARS_TOP)
    return [
        Bar(
            float(x[i]),
            float(x[i + 1] - x[i]),
            float(BARS_BOTTOM - height),
            float(height),
            f"{bin_name(curve, i)}: {curve.pixels[i]:,} pixels in {curve.pictures[i]:,} pictures",
        )
        for i, height in enumerate(heights)
    ]


def bin_name(curve: Curve, i: int) -> str:
    """Name a bin by its depths, such as "1.41 to 1.58 m"."""
    near, far = curve.edges_m[i : i + 2]
    return f"{near:.3g} to {far:.3g} m"


def with_interval(figures: Values) -> str:
    """Write a figure and its interval."""
    figure, low, high = figures
    return f"{figure:.3f} ({low:.3f} to {high:.3f})"


def x_ticks(edges_m: Values) -> list[Tick]:
    """Label round depths within the bins, with LABEL_WIDTH between them."""
    ticks: list[Tick] = []
    for metres in METRES:
        at = float(x_of(np.array(metres), edges_m))
        if LEFT <= at <= RIGHT and (not ticks or at - ticks[-1].at >= LABEL_WIDTH):
            ticks.append(Tick(at, f"{metres:g}"))
    return ticks


def round_steps(low: float, high: float) -> list[float]:
    """Return about Y_STEPS round numbers from `low` or less to `high` or more."""
    least_step = max(high - low, 1e-6) / Y_STEPS
    power = 10.0 ** np.floor(np.log10(least_step))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= least_step * 0.999)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [float(round(i * step, 12)) for i in np.arange(first, max(last, first + 1) + 1)]
