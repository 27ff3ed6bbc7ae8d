"""What a request asks for: the model, its options, and the kind of answer; checked as the command line checks them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from starlette.datastructures import QueryParams

from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.limits import sides_in
from hqmd_cli.geometry.camera import require_camera
from hqmd_cli.geometry.reading import Reading
from hqmd_cli.inference.open import OpenModel, OpenOptions
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.prediction.photo_job import SCALE_FLAG
from hqmd_cli.prediction.plan import Job, refuse_metres, refuse_unsure
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.sources import Source
from hqmd_cli.serving.problems import Problem, in_query

JSON, VIEW, DEFAULT_ANSWER = "json", "view", "mm"
MEDIA_TYPES = {  # answer -> its media type; of those with the same one, Accept gives the first
    DEFAULT_ANSWER: "image/png",
    "npy": "application/x-npy",
    "glb": "model/gltf-binary",
    JSON: "application/json",
    "color": "image/png",
    "normals": "image/png",
    "uncertainty": "image/png",
    "uncertainty-npy": "application/x-npy",
    "tiff": "image/tiff",
    "exr": "image/x-exr",
    "npz": "application/x-npz",
    "ply": "application/x-ply",
    VIEW: "application/vnd.hqmd.view+json",  # what the page shows
}
UNKNOWN_MEDIA = "application/octet-stream"  # of any other output: look.html must not be a page of this server
MOST_SHOWN = 100  # letters of what a client sent, in a message
PHOTO = Source(Path("photo"), Path("photo"))  # what messages call it, whatever its file is called


class Parameter(NamedTuple):
    """One parameter of the query."""

    read: Callable[[str], Any]  # raises ValueError for what it cannot read
    about: str


PARAMETERS = {
    "model": Parameter(str, "One of `GET /v1/models`; by default the first."),
    "side": Parameter(sides_in, "Shorter side, in pixels, of a picture that adds detail, or several: `224,288`."),
    "size": Parameter(str, "A preset of the model, such as `fast` or `detail`."),
    "fov": Parameter(float, "Horizontal field of view, in degrees."),
    "fx": Parameter(float, "Focal length, in pixels; metres grow with it."),
    "scale_from": Parameter(str, "`X,Y,METRES`: the distance that you measured from the camera to pixel (X, Y)."),
    "format": Parameter(str, "The kind of answer, in place of `Accept`."),
}


@dataclass(frozen=True)
class Wish:
    """A checked request for depth, as values that another process can read."""

    answer: str  # a key of OUTPUTS, or JSON
    model: str
    options: OpenOptions
    camera: tuple[float | None, float | None]  # fov and fx
    scale_from: str | None
    reading: Reading | None  # of scale_from

    @property
    def job(self) -> Job:
        """The photo, and the file that the answer is."""
        output = OUTPUTS.get(self.answer)
        return Job(PHOTO, [(Path(f"photo{output.suffix}"), output)] if output else [], Path("photo.json"))

    @property
    def media_type(self) -> str:
        """The media type of the answer."""
        return MEDIA_TYPES.get(self.answer, UNKNOWN_MEDIA)


def answers() -> list[str]:
    """List every kind of answer."""
    return list(dict.fromkeys([*MEDIA_TYPES, *OUTPUTS]))


def wish_of(query: QueryParams, accept: str, models: Mapping[str, OpenModel]) -> Wish:
    """Check a request. Raises Problem for what is unknown, impossible, or not to be had from the model."""
    values = values_in(query)
    answer = values.get("format") or answer_for(accept)
    if answer not in answers():
        raise Problem(422, f"format={shown(answer)}: no such answer; there are {', '.join(answers())}")
    name = values.get("model", next(iter(models)))
    if name not in models:
        raise Problem(422, f"model={shown(name)}: not served here; there are {', '.join(models)}")
    try:
        options = OpenOptions(sides=values.get("side", ()), size=values.get("size", DEFAULT_SIZE))
        model = seen_with(options, models[name])
        camera, scale_from = (values.get("fov"), values.get("fx")), values.get("scale_from")
        require_camera(*camera)
        reading = Reading.parse(scale_from, SCALE_FLAG) if scale_from else None
        wish = Wish(answer, name, options, camera, scale_from, reading)
        refuse_metres(model.kind, name, [wish.job], Style(), scale_from)
        refuse_unsure(model, [wish.job], Style())
    except HqmdError as error:
        raise Problem(422, in_query(str(error))) from error
    return wish


def values_in(query: QueryParams) -> dict[str, Any]:
    """Read the parameters of a query, each at most once."""
    values: dict[str, Any] = {}
    for name, text in query.multi_items():
        if name not in PARAMETERS:
            raise Problem(422, f"{shown(name)}: no such parameter; there are {', '.join(PARAMETERS)}")
        if name in values:
            raise Problem(422, f"{name}: given twice; give it once")
        try:
            values[name] = PARAMETERS[name].read(text)
        except HqmdError as error:
            raise Problem(422, in_query(str(error))) from error
        except ValueError as error:
            what = "not a number" if PARAMETERS[name].read is float else str(error)
            raise Problem(422, f"{name}={shown(text)}: {what}") from error
    return values


def seen_with(options: OpenOptions, model: OpenModel) -> OpenModel:
    """Return the model with the sides or the preset that the query asks for."""
    if not options.sides and options.size == DEFAULT_SIZE:
        return model
    if model.with_options is None:
        raise HqmdError(f"--side and --size: {model.name} chooses its own")
    return replace(model.with_options(options), name=model.name)


def answer_for(accept: str) -> str:
    """Choose the answer that Accept likes best; in doubt the default one. Raises Problem for media that are not there.

    Several equal ones are answered by the most precise of them, and then by the order of MEDIA_TYPES.
    """
    if not accept.strip():
        return DEFAULT_ANSWER
    ranges = [range_of(part) for part in accept.split(",") if part.strip()]
    likes = {answer: liking(media, ranges) for answer, media in MEDIA_TYPES.items()}
    best = max(likes, key=lambda answer: likes[answer])  # the first of equal ones
    if not likes[best][0]:
        media = ", ".join(dict.fromkeys(MEDIA_TYPES.values()))
        raise Problem(406, f"Accept: none of what can be sent, which is {media}")
    return best


def range_of(text: str) -> tuple[str, float]:
    """ "image/*;q=0.5" -> ("image/*", 0.5). A weight that cannot be read counts as 1."""
    media, *options = (part.strip().lower() for part in text.split(";"))
    weight = next((option[2:] for option in options if option.startswith("q=")), "1")
    try:
        return media, min(1.0, max(0.0, float(weight)))
    except ValueError:
        return media, 1.0


def liking(media: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """Return the weight that the most precise range gives a media type, and how precise that is; zeros for none."""
    kind = media.partition("/")[0]
    for precision, pattern in ((2, media), (1, f"{kind}/*"), (0, "*/*")):
        for accepted, weight in ranges:
            if accepted == pattern:
                return (weight, precision) if weight else (0.0, 0)
    return 0.0, 0


def shown(text: str) -> str:
    """Return the start of what a client sent, for a message."""
    return printable(text[:MOST_SHOWN])
