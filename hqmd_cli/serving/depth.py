"""From an uploaded photo to the answer, in a thread: what `hqmd predict` does, in memory."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.images import encode_jpeg
from hqmd_cli.files.kinds import VIDEO, by_start
from hqmd_cli.files.limits import LARGEST_PIXELS, TooLarge
from hqmd_cli.files.open_picture import first_bytes
from hqmd_cli.files.photos import Photo, count_pixels, read_photo
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.parallel.thread_pool import PixelBudget
from hqmd_cli.prediction.manifest import record_of
from hqmd_cli.prediction.photo_job import FLAT_NOTE, refuse_panorama
from hqmd_cli.prediction.result import DepthResult
from hqmd_cli.prediction.writers.look import PHOTO_QUALITY, PHOTO_SIDE, depth_png, fitted, in_text, metadata
from hqmd_cli.serving.problems import Problem, in_query
from hqmd_cli.serving.uploads import Upload
from hqmd_cli.serving.wishes import JSON, PHOTO, VIEW, Wish

Asked = ParamSpec("Asked")
Given = TypeVar("Given")
BUDGET = PixelBudget(LARGEST_PIXELS)  # of the photos in work at a time
LONGEST_HEADER = 500  # letters
LONGEST_NAME = 80
# Of 16 MB each, enough for the largest photo: Pillow keeps them, and `give_back` frees them. See
# https://pillow.readthedocs.io/en/stable/reference/block_allocator.html
Image.core.set_blocks_max(32)


@dataclass(frozen=True)
class Answer:
    """The body of a response, with the headers that describe it."""

    content: bytes | memoryview
    media_type: str
    headers: dict[str, str]


def one_at_a_time(model: OpenModel, name: str, lock: Any = None) -> OpenModel:
    """Return a model, under this name, that computes one photo at a time, however many threads call it."""
    lock, others = lock or Lock(), model.with_options
    return replace(
        model,
        name=name,
        predict=locked(model.predict, lock),
        surely=locked(model.surely, lock) if model.surely else None,
        sees=locked(model.sees, lock) if model.sees else None,
        with_options=(lambda options: one_at_a_time(others(options), name, lock)) if others else None,
    )


def locked(compute: Callable[Asked, Given], lock: Any) -> Callable[Asked, Given]:
    """Return a function that holds the lock while it computes."""

    def compute_alone(*asked: Asked.args, **named: Asked.kwargs) -> Given:
        with lock:
            return compute(*asked, **named)

    return compute_alone


def depth_of(upload: Upload, wish: Wish) -> Answer:
    """Answer one request; takes seconds, so call it from a thread. Raises Problem for what is no photo or no depth."""
    with BUDGET.taken(count_pixels(upload.content)):
        photo = read(upload)
        try:
            refuse_panorama(wish.job, photo)
            return encoded(wish.work.result_of(photo, PHOTO.name), wish, upload.name)
        except HqmdError as error:
            raise Problem(422, in_query(str(error))) from error


def read(upload: Upload) -> Photo:
    """Decode a photo. Raises Problem for any other file, for a damaged one, and for too many pixels."""
    form = by_start(first_bytes(upload.content))
    if form is not None and form.medium == VIDEO:
        raise Problem(415, f"a video ({form.name}); send one picture of it")
    try:
        return read_photo(upload.content, PHOTO.name)
    except HqmdError as error:
        cause = error.__cause__
        if isinstance(cause, (TooLarge, Image.DecompressionBombError)):
            raise Problem(413, str(error)) from error
        if isinstance(cause, UnidentifiedImageError):
            remedy = "; or send it as JPEG" if form is not None and form.library else ""
            raise Problem(415, f"{error}{remedy}") from error
        raise Problem(422, in_query(str(error))) from error
    finally:
        give_back()


def give_back() -> None:
    """Free the memory of decoded photos block by block; 400 MB in one step stop all threads for 60 ms or more."""
    for left in reversed(range(Image.core.get_stats()["blocks_cached"])):
        Image.core.clear_cache(left)


def encoded(result: DepthResult, wish: Wish, name: str) -> Answer:
    """Encode a result as the client wishes; `name` is that of its photo. Raises HqmdError if that cannot be."""
    content: bytes | memoryview = b""
    result = result._replace(photo=printable(name), model=wish.work.model.name)
    notes, remarks = {}, {}
    for target, output in wish.job.targets:
        content, remark = output.encode(target, result, wish.work.style)
        notes[target.name] = output.note_of(result.kind)
        remarks[target.name] = "; ".join(filter(None, (remark, FLAT_NOTE if result.is_flat else "")))
    record = record_of(wish.job, result, notes, remarks, wish.work.settings, None, {})
    suffix = wish.job.targets[0][1].suffix if wish.job.targets else ".json"
    if wish.answer == JSON:
        content = in_query(json.dumps(record)).encode("ascii")
    elif wish.answer == VIEW:
        content = view_of(result, wish)
    return Answer(content, wish.media_type, facts(result, record) | attachment(name, suffix))


def view_of(result: DepthResult, wish: Wish) -> bytes:
    """Return what the page shows: photo and depth in base64, a JPEG and a PNG, and the meta of page/viewer.js."""
    camera = replace(result.intrinsics, origin=in_query(result.intrinsics.origin))
    result = result._replace(intrinsics=camera, remarks=tuple(map(in_query, result.remarks)))
    photo = encode_jpeg(fitted(result.image, PHOTO_SIDE), PHOTO_QUALITY)
    view = {
        "photo": in_text(photo),
        "depth": in_text(depth_png(result)),
        "meta": metadata(result, wish.work.style),
    }
    return json.dumps(view, allow_nan=False).encode("ascii")


def facts(result: DepthResult, record: dict[str, Any]) -> dict[str, str]:
    """Describe a result in headers, in ASCII; `record` is what `hqmd predict --json` writes about it."""
    camera = result.intrinsics
    said = [*record["remarks"].values()] or record["photo_remarks"]
    texts = {
        "Hqmd-Model": record["settings"]["model"],
        "Hqmd-Unit": record["unit"],
        "Hqmd-Size": f"{result.depth_m.shape[1]}x{result.depth_m.shape[0]}",
        "Hqmd-Near": f"{result.near:.6g}",
        "Hqmd-Far": f"{result.far:.6g}",
        "Hqmd-Scale-Uncertainty": f"{result.uncertainty.scale:.4g}" if result.uncertainty else "",
        "Hqmd-Camera": f"fx={camera.fx:.6g}, fy={camera.fy:.6g}, cx={camera.cx:.6g}, cy={camera.cy:.6g}",
        "Hqmd-Camera-Origin": camera.origin,
        "Hqmd-Remarks": "; ".join(said),
        "Hqmd-Version": __version__,
    }
    return {key: in_ascii(in_query(text)) for key, text in texts.items() if text}


def in_ascii(text: str) -> str:
    """Return a text that a header can hold."""
    return printable(text).encode("ascii", "backslashreplace").decode("ascii")[:LONGEST_HEADER]


def attachment(name: str, suffix: str) -> dict[str, str]:
    """Return the header by which browsers save an answer under the name of its photo, and never show it as a page."""
    stem = printable(re.split(r"[/\\]", name)[-1]).rpartition(".")[0][:LONGEST_NAME] or "depth"
    plain = re.sub(r"[^\w.-]", "_", stem, flags=re.ASCII)
    exact = quote(stem + suffix, safe="")
    return {"Content-Disposition": f"attachment; filename=\"{plain}{suffix}\"; filename*=UTF-8''{exact}"}
