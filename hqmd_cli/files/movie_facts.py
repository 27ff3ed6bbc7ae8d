"""What the header of an .mp4 or .mov says that OpenCV does not tell: which frames are shown, and if they are panoramas.

An edit list (elst) hides frames: editors trim a clip without loss by it, and FFmpeg leaves the hidden ones out, but
OpenCV counts all. ISO/IEC 14496-12, sections 8.6.6 (elst), 8.6.1.2 (stts) and 8.6.1.3 (ctts). Google's "Spherical Video
V2 RFC" describes sv3d, and version 1 the XML in a box of its own.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

LARGEST_HEADER_BYTES = 2**26  # of moov: four hours at 60 frames a second take 20 MB
MOST_FRAMES = 10_000_000
CONTAINERS = frozenset({b"mdia", b"minf", b"stbl", b"edts"})
SPHERICAL_XML = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")


@dataclass(frozen=True)
class MovieFacts:
    """Facts from the header of an ISO media file."""

    starts_s: NDArray[np.float64] | None = None  # when each shown frame begins, in seconds; None: it does not say
    end_s: float = 0.0  # when the last shown frame ends
    hidden: int = 0  # frames that an edit list leaves out
    spherical: bool = False  # True if a frame is a panorama of 360 degrees
    sound_alone: bool = False  # True if there are tracks of sound and none of video


def movie_facts(path: Path) -> MovieFacts:
    """Read the facts about the first video track; empty ones for other files, and for a header that is damaged."""
    try:
        with path.open("rb") as file:
            movie = moov_of(file)
        return facts_of(movie) if movie else MovieFacts()
    except (OSError, struct.error, ValueError, IndexError, ArithmeticError):
        return MovieFacts()


def moov_of(file: BinaryIO) -> bytes:
    """Return the content of the box moov, or no bytes if the file lacks it or it is too large."""
    position, end = 0, file.seek(0, 2)
    while position + 8 <= end:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            head = 16
        size = size or end - position
        if kind == b"moov" and head <= size <= LARGEST_HEADER_BYTES:
            return file.read(size - head)
        if size < head:  # one that leads back would be read for ever
            return b""
        position += size
    return b""


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the boxes one after the other; stops at a damaged one."""
    position = 0
    while position + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        if not 8 <= size <= len(content) - position:
            return
        yield kind, content[position + 8 : position + size]
        position += size


def facts_of(movie: bytes) -> MovieFacts:
    """Return the facts about the first video track of a moov."""
    timescale, sound = 0, False
    for kind, content in boxes(movie):
        if kind == b"mvhd":
            (timescale,) = struct.unpack_from(">I", content, 20 if content[0] else 12)
        if kind == b"trak":
            track: dict[bytes, bytes] = {}
            flatten(content, track)
            handler = track.get(b"hdlr", b"")[8:12]
            if handler == b"vide":
                return facts_of_track(track, timescale)
            sound |= handler == b"soun"
    return MovieFacts(sound_alone=sound)


def flatten(content: bytes, track: dict[bytes, bytes]) -> None:
    """Collect the boxes of a track, those in CONTAINERS too, by kind; the first of each kind."""
    for kind, inside in boxes(content):
        if kind in CONTAINERS:
            flatten(inside, track)
        else:
            track.setdefault(kind, inside)


def facts_of_track(track: dict[bytes, bytes], movie_scale: int) -> MovieFacts:
    """Return the facts about a video track from its boxes; `movie_scale` is the movie's ticks per second."""
    described = track.get(b"stsd", b"")
    spherical = b"sv3d" in described or (SPHERICAL_XML in track.get(b"uuid", b"")[:16])
    media_head = track.get(b"mdhd", b"")
    (media_scale,) = struct.unpack_from(">I", media_head, 20 if media_head[0] else 12)
    ticks = frame_ticks(track.get(b"stts", b""))
    if not len(ticks):
        return MovieFacts(spherical=spherical)
    starts = np.concatenate([[0], np.cumsum(ticks)])[:-1] + composition(track.get(b"ctts", b""), len(ticks))
    edits = list(edit_list(track.get(b"elst", b"")))
    shown = np.ones(len(starts), bool)
    if edits and movie_scale:
        shown[:] = False
        for duration, begin in edits:
            if begin >= 0:  # -1: nothing is shown for a while
                end = begin + duration * media_scale / movie_scale if duration else np.inf
                shown |= (starts >= begin) & (starts < end)  # as FFmpeg does, which drops a frame cut by the edge
    end_s = float((starts + ticks)[shown].max(initial=0)) / media_scale
    return MovieFacts(np.sort(starts[shown]) / media_scale, end_s, int(np.count_nonzero(~shown)), spherical)


def frame_ticks(stts: bytes) -> NDArray[np.int64]:
    """Return the length of each frame, in the track's ticks, or an empty result if there are implausibly many."""
    return runs(stts, ">u4")


def composition(ctts: bytes, frames: int) -> NDArray[np.int64]:
    """Return by how many ticks each frame is shown later than it is decoded."""
    offsets = runs(ctts, ">i4")
    return offsets if len(offsets) == frames else np.zeros(frames, np.int64)


def runs(box: bytes, kind: str) -> NDArray[np.int64]:
    """Unpack a table of (count, value). Empty for a table that is damaged or longer than MOST_FRAMES."""
    if len(box) < 8:
        return np.zeros(0, np.int64)
    (entries,) = struct.unpack_from(">I", box, 4)
    table = np.frombuffer(box, np.dtype([("count", ">u4"), ("value", kind)]), min(entries, (len(box) - 8) // 8), 8)
    counts = table["count"].astype(np.int64)
    if counts.sum() > MOST_FRAMES:
        return np.zeros(0, np.int64)
    return np.repeat(table["value"].astype(np.int64), counts)


def edit_list(elst: bytes) -> Iterator[tuple[int, int]]:
    """Yield the duration of each edit, in the movie's ticks, and where it begins, in the track's."""
    if len(elst) < 8:
        return
    (entries,) = struct.unpack_from(">I", elst, 4)
    form, size = (">Qq4x", 20) if elst[0] == 1 else (">Ii4x", 12)
    for entry in range(min(entries, (len(elst) - 8) // size)):
        yield struct.unpack_from(form, elst, 8 + size * entry)
