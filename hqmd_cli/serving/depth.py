"""From an uploaded photo to the answer, in the process of a Worker: what `hqmd predict` does, in memory."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.images import encode_jpeg
from hqmd_cli.files.kinds import VIDEO, by_start
from hqmd_cli.files.limits import TooLarge
from hqmd_cli.files.open_picture import first_bytes
from hqmd_cli.files.photos import Photo, read_photo
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.prediction.manifest import record_of
from hqmd_cli.prediction.photo_job import FLAT_NOTE, PhotoWork, refuse_panorama
from hqmd_cli.prediction.photo_run import settings_of
from hqmd_cli.prediction.result import DepthResult, Style
from hqmd_cli.prediction.writers.look import PHOTO_QUALITY, PHOTO_SIDE, depth_png, fitted, in_text, metadata
from hqmd_cli.serving.problems import Problem, in_query
from hqmd_cli.serving.uploads import Upload
from hqmd_cli.serving.wishes import JSON, PHOTO, VIEW, Wish, seen_with

PIECE = 2**25  # bytes; of smaller ones, glibc gives the memory of many back in one step (mallopt(3), M_MMAP_THRESHOLD)
LONGEST_HEADER = 500  # letters
LONGEST_NAME = 80


class Answer(NamedTuple):
    """The body of a response, with the headers that describe it."""

    pieces: list[bytes]  # so that no process copies or frees it in one step
    media_type: str
    headers: dict[str, str]


def depth_of(upload: Upload, wish: Wish, models: Mapping[str, OpenModel]) -> Answer:
    """Answer one request, which takes seconds. Raises Problem for what is no photo or no depth."""
    photo = read(upload)
    try:
        refuse_panorama(wish.job, photo)
        model, style = seen_with(wish.options, models[wish.model]), Style()
        settings = settings_of(model, False, style, (*wish.camera, wish.scale_from), None, None, False)
        work = PhotoWork(model, settings, style, wish.reading, False, None, None, {}, True)
        return encoded(work.result_of(photo, PHOTO.name), wish, work, upload.name)
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


def encoded(result: DepthResult, wish: Wish, work: PhotoWork, name: str) -> Answer:
    """Encode a result as the client wishes; `name` is that of its photo. Raises HqmdError if that cannot be."""
    content: bytes | memoryview = b""
    result = result._replace(photo=printable(name), model=work.model.name)
    notes, remarks = {}, {}
    for target, output in wish.job.targets:
        content, remark = output.encode(target, result, work.style)
        notes[target.name] = output.note_of(result.kind)
        remarks[target.name] = "; ".join(filter(None, (remark, FLAT_NOTE if result.is_flat else "")))
    record = record_of(wish.job, result, notes, remarks, work.settings, None, {})
    suffix = wish.job.targets[0][1].suffix if wish.job.targets else ".json"
    if wish.answer == JSON:
        content = in_query(json.dumps(record)).encode("ascii")
    elif wish.answer == VIEW:
        content = view_of(result, work.style)
    view = memoryview(content)
    pieces = [bytes(view[start : start + PIECE]) for start in range(0, len(view), PIECE)]
    headers = facts(result, record) | attachment(name, suffix) | {"Content-Length": str(len(view))}
    return Answer(pieces, wish.media_type, headers)


def view_of(result: DepthResult, style: Style) -> bytes:
    """Return what the page shows: photo and depth in base64, a JPEG and a PNG, and the meta of page/viewer.js."""
    camera = replace(result.intrinsics, origin=in_query(result.intrinsics.origin))
    result = result._replace(intrinsics=camera, remarks=tuple(map(in_query, result.remarks)))
    photo = encode_jpeg(fitted(result.image, PHOTO_SIDE), PHOTO_QUALITY)
    view = {
        "photo": in_text(photo),
        "depth": in_text(depth_png(result)),
        "meta": metadata(result, style),
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
