"""What `hqmd evaluate --points` measures, prints and draws."""

from pathlib import Path

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.bootstrap import METHOD
from hqmd_cli.evaluation.measured_points import FEW, MeasuredPoint, PointScores, measure_points, read_points
from hqmd_cli.files.atomic import require_suffix
from hqmd_cli.files.images import write_image
from hqmd_cli.files.outputs import refuse_existing_outputs, refuse_over_input
from hqmd_cli.inference.open import OpenOptions, open_model
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.reporting.tables import as_json
from hqmd_cli.terminal.progress import with_progress
from hqmd_cli.terminal.table_output import print_short
from hqmd_cli.visualization.colormap import RGB
from hqmd_cli.visualization.marked_points import Mark, marked
from hqmd_cli.visualization.panels import stacked, with_text

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def evaluate_points(
    file: Path | None, model: str, options: OpenOptions, picture: Path | None, in_json: bool, overwrite: bool
) -> None:
    """Measure a model at the points of a file, print the figures on stdout, and draw the picture if there is one."""
    if file is None:
        raise HqmdError("--picture goes with --points; `hqmd compare --picture` draws depth maps")
    points = read_points(file)
    photos = list(dict.fromkeys(point.photo for point in points))
    if picture:
        require_suffix(picture, PICTURE_SUFFIXES)
        refuse_over_input([picture], [file, *photos])
        refuse_existing_outputs([picture], overwrite)
    opened = open_model(model, options)
    scores = PointScores(list(with_progress(measure_points(points, opened), model, len(photos))))
    if in_json:
        print(as_json({"model": model, **scores.to_dict()}), end="")
    else:
        print_short(points_table(model, scores))
    if picture:
        write_image(picture, points_picture(scores))


def points_table(model: str, scores: PointScores) -> Table:
    """Make a row a point, with the figures over all photos below."""
    rows = [
        [
            f"{photo.path.name} {point.point.reading.x},{point.point.reading.y}",
            f"{point.point.reading.metres:.2f}",
            predicted_in_words(point),
            f"{point.ratio - 1:+.0%}",
        ]
        for photo in scores.photos
        for point in photo.points
    ]
    cameras = dict.fromkeys(photo.camera for photo in scores.photos)
    few = f"; with fewer than {FEW} photos the intervals are rough" if 1 < len(scores.photos) < FEW else ""
    lines = [
        f"{model}: AbsRel {scores.abs_rel}, the mean of |predicted - measured| / measured",
        f"scale: predicted / measured is {scores.scale}, the geometric mean over the photos; 1 is right",
        *([f"shape: AbsRel {scores.shape} once each photo has its own scale"] if scores.has_shape else []),
        f"each photo counts the same; {METHOD.replace('pictures', 'photos')}{few}",
        "distances are straight from the lens, in metres; +- is the model's own standard deviation",
        *(f"camera: {camera}" for camera in cameras),
    ]
    return Table(["photo, pixel", "measured", "predicted", "error"], rows, "\n".join(lines))


def predicted_in_words(point: MeasuredPoint) -> str:
    """Write a predicted distance, with its error if the model knows it, such as "1.85 +-0.31"."""
    spread = "" if point.error is None else f" +-{point.predicted_m * point.error:.2f}"
    return f"{point.predicted_m:.2f}{spread}"


def points_picture(scores: PointScores) -> RGB:
    """Draw the photos one below the other, each point with its predicted and measured distance."""
    panels = []
    for photo in scores.photos:
        marks = []
        for point in photo.points:
            x, y, metres = point.point.reading.x, point.point.reading.y, point.point.reading.metres
            marks.append(Mark(x, y, f"{point.predicted_m:.2f} m, measured {metres:.2f}"))
        panels.append(with_text(marked(photo.rgb, marks), photo.path.name))
    return stacked(panels)
