"""Judge a model by distances measured with a tape, on a few photos without depth maps."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.focal_lengths import focal_of
from hqmd_cli.data.lists import split_cells
from hqmd_cli.depth import require_depth
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.bootstrap import METHOD, percentile_interval, resampled_sums
from hqmd_cli.files.photos import read_photo
from hqmd_cli.files.text import read_lines
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.geometry.reading import Reading
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.units import DIGITS

HEADS, FOCAL_HEAD = ["photo", "x", "y", "metres"], "fx"
ASSUMED = "NYU's, assumed where neither the photo nor a column fx (in pixels) says it"
FEW = 5  # photos; the bootstrap over fewer tells little


class Point(NamedTuple):
    """A row of the file of points."""

    photo: Path
    reading: Reading
    fx: float | None  # focal length in pixels, of the photo; None: not stated
    where: str  # file and row, for messages


class MeasuredPoint(NamedTuple):
    """A point with the model's distance."""

    point: Point
    predicted_m: float
    error: float | None  # the model's own relative standard deviation; None: unknown

    @property
    def ratio(self) -> float:
        """Predicted over measured distance."""
        return self.predicted_m / self.point.reading.metres


@dataclass(frozen=True)
class MeasuredPhoto:
    """A photo with its points."""

    path: Path
    rgb: NDArray[np.uint8]  # (H, W, 3)
    camera: str  # where its focal length is from, in words
    points: Sequence[MeasuredPoint]


@dataclass(frozen=True)
class Figure:
    """A figure over all photos, with the ends of its interval; NaN for a single photo."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Write it with its interval."""
        if np.isnan(self.low):
            return f"{self.value:.{DIGITS - 1}f} (one photo: no interval)"
        return f"{self.value:.{DIGITS - 1}f} ({self.low:.{DIGITS - 1}f} to {self.high:.{DIGITS - 1}f})"


@dataclass(frozen=True)
class PointScores:
    """What the points say about a model: each photo counts the same, whatever the number of its points."""

    photos: Sequence[MeasuredPhoto]

    def mean_over_photos(self, of: Callable[[MeasuredPoint], float]) -> Figure:
        """Average a number over the points of each photo, and then over the photos, with an interval."""
        means = np.array([[np.mean([of(point) for point in photo.points])] for photo in self.photos])
        if len(means) == 1:
            return Figure(float(means.mean()), np.nan, np.nan)
        low, high = percentile_interval(resampled_sums(means)[:, 0] / len(means))
        return Figure(float(means.mean()), low, high)

    @property
    def abs_rel(self) -> Figure:
        """The mean of |predicted - measured| / measured."""
        return self.mean_over_photos(lambda point: abs(point.ratio - 1))

    @property
    def scale(self) -> Figure:
        """The geometric mean of predicted / measured: 1.1 means that the metres are 10 % too large."""
        log = self.mean_over_photos(lambda point: float(np.log(point.ratio)))
        return Figure(*np.exp([log.value, log.low, log.high]))

    @property
    def shape(self) -> Figure:
        """The mean of |predicted / (measured x the photo's own scale) - 1|, of photos with two points or more."""
        own = {photo.path: np.exp(np.mean([np.log(p.ratio) for p in photo.points])) for photo in self.photos}
        several = PointScores([photo for photo in self.photos if len(photo.points) > 1])
        return several.mean_over_photos(lambda point: abs(point.ratio / own[point.point.photo] - 1))

    @property
    def has_shape(self) -> bool:
        """True if some photo has two points or more."""
        return any(len(photo.points) > 1 for photo in self.photos)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        named = {"AbsRel": self.abs_rel, "scale": self.scale} | ({"shape": self.shape} if self.has_shape else {})
        figures = {
            name: {"value": figure.value, "interval": None if np.isnan(figure.low) else [figure.low, figure.high]}
            for name, figure in named.items()
        }
        points = [
            {
                "photo": str(photo.path),
                **asdict(point.point.reading),
                "predicted_m": point.predicted_m,
                "error": point.error,
                "camera": photo.camera,
            }
            for photo in self.photos
            for point in photo.points
        ]
        return {**figures, "intervals_by": METHOD.replace("pictures", "photos"), "points": points}


def read_points(path: Path) -> list[Point]:
    """Read rows of `photo,x,y,metres`, or `photo,x,y,metres,fx` with focal lengths in pixels, below a header line.

    Photos lie beside the file, or have a full path. Raises HqmdError for a row that it cannot read, and for two
    rows of one pixel, which would count twice.
    """
    heads, *rows = [row for row in split_cells(read_lines(path, "list of points")) if any(row)] or [[]]
    if [head.lower() for head in heads] not in (HEADS, [*HEADS, FOCAL_HEAD]):
        raise HqmdError(f"{path}: must begin with the line {','.join(HEADS)}, not {','.join(heads)!r}")
    points: dict[tuple[Path, int, int], Point] = {}
    for row in rows:
        where = f"{path}: {','.join(row)}"
        if len(row) != len(heads):
            raise HqmdError(f"{where}: needs {','.join(heads)}, such as desk.jpg,320,240,1.85")
        photo, _, _, _, *focal = row
        if not (path.parent / photo).is_file():
            raise HqmdError(f"{where}: there is no photo {path.parent / photo}")
        fx = focal_of(focal[0]) if focal and focal[0] else None
        if focal and focal[0] and not fx:
            raise HqmdError(f"{where}: {focal[0]!r} is not a focal length in pixels; leave the cell empty")
        point = Point(path.parent / photo, Reading.parse(",".join(row[1:4]), f"{path}:"), fx, where)
        pixel = point.photo, point.reading.x, point.reading.y
        if pixel in points:
            raise HqmdError(f"{where}: this pixel has a distance already; state one for each")
        points[pixel] = point
    if not points:
        raise HqmdError(f"{path}: holds no point; add rows such as desk.jpg,320,240,1.85")
    return list(points.values())


def measure_points(points: Iterable[Point], model: OpenModel) -> Iterable[MeasuredPhoto]:
    """Predict each photo once, and yield it with its points. Raises HqmdError for a model without metres."""
    if model.kind != "depth":
        raise HqmdError(f"{model.name}: gives no metres, so measured distances cannot judge it")
    for path, rows in groupby(sorted(points, key=lambda point: point.photo), lambda point: point.photo):
        of_photo = list(rows)
        if len({point.fx for point in of_photo}) > 1:
            raise HqmdError(f"{of_photo[0].where}: the rows of a photo state different focal lengths")
        photo = read_photo(path)
        height, width = photo.rgb.shape[:2]
        camera = find_intrinsics(height, width, fx=of_photo[0].fx, focal_35mm=photo.focal_35mm)
        depth_m, camera, _, sure = model.see(photo.rgb, camera)
        depth_m = depth_m * np.float32(camera.metres_factor(height, width) if model.follows_camera else 1)
        require_depth(depth_m, str(path))
        if sure:
            sure = sure.with_camera(camera.metres_error)
            shape = sure.at(depth_m.shape)
        measured = [
            MeasuredPoint(
                point,
                point.reading.predicted(depth_m, camera, point.where),
                float(np.hypot(sure.scale, shape[point.reading.y, point.reading.x])) if sure else None,
            )
            for point in of_photo
        ]
        yield MeasuredPhoto(path, photo.rgb, camera.origin if camera.is_known else ASSUMED, measured)
