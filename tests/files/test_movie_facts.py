"""Facts from the header of an .mp4, and the rhythm of frames."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.limits import LARGEST_FRAME_PIXELS
from hqmd_cli.files.movie_facts import MovieFacts, movie_facts
from hqmd_cli.files.rhythm import FASTEST_FPS, Clock, Rhythm, rhythm_of
from hqmd_cli.files.video_source import open_video, squared


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def movie(
    durations: list[tuple[int, int]], edits: Sequence[tuple[int, int]] = (), extra: bytes = b"", shifts: bytes = b""
) -> bytes:
    """The header of a movie: (count, ticks) of its frames, (duration, begin) of its edits; 1000 ticks a second."""
    table = b"".join(struct.pack(">II", *run) for run in durations)
    stbl = box(b"stsd", bytes(8) + extra) + box(b"stts", bytes(4) + struct.pack(">I", len(durations)) + table) + shifts
    listed = b"".join(struct.pack(">Ii4x", *edit) for edit in edits)
    edts = box(b"edts", box(b"elst", bytes(4) + struct.pack(">I", len(edits)) + listed)) if edits else b""
    mdia = box(b"mdhd", bytes(12) + struct.pack(">II", 1000, 0)) + box(b"hdlr", bytes(8) + b"vide" + bytes(13))
    sound = box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + b"soun" + bytes(13))))
    track = box(b"trak", edts + box(b"mdia", mdia + box(b"minf", box(b"stbl", stbl))))
    head = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, 0) + bytes(80))
    return box(b"ftyp", b"isom") + box(b"mdat", bytes(99)) + box(b"moov", head + sound + track)


def facts(tmp_path: Path, content: bytes) -> MovieFacts:
    (tmp_path / "x.mp4").write_bytes(content)
    return movie_facts(tmp_path / "x.mp4")


@pytest.mark.parametrize(
    ("edits", "shown"),
    [
        ([], range(10)),
        ([(1000, 0)], range(10)),
        ([(600, 400)], range(4, 10)),
        ([(300, 400)], range(4, 7)),
        ([(0, 400)], range(4, 10)),  # to the end
        ([(500, -1), (200, 0), (200, 800)], [0, 1, 8, 9]),
    ],
)
def test_edit_lists(tmp_path: Path, edits: list[tuple[int, int]], shown: list[int]) -> None:
    found = facts(tmp_path, movie([(10, 100)], edits))
    assert found.starts_s is not None and found.hidden == 10 - len(shown)
    np.testing.assert_allclose(found.starts_s, [place / 10 for place in shown])
    assert found.end_s == pytest.approx(max(shown) / 10 + 0.1)


def test_frames_that_are_shown_in_another_order(tmp_path: Path) -> None:
    shifts = box(b"ctts", bytes(4) + struct.pack(">I", 3) + struct.pack(">IiIiIi", 1, 100, 1, 200, 1, 0))
    found = facts(tmp_path, movie([(3, 100)], shifts=shifts))
    np.testing.assert_allclose(found.starts_s, [0.1, 0.2, 0.3])


def test_sound_alone(tmp_path: Path) -> None:
    """A voice memo, say. With a video track, sound is left out."""
    memo = movie([(3, 100)]).replace(b"vide", b"soun")
    assert facts(tmp_path, memo).sound_alone and not facts(tmp_path, movie([(3, 100)])).sound_alone
    (tmp_path / "memo.mp4").write_bytes(memo)
    with pytest.raises(HqmdError, match=r"memo\.mp4: holds sound and no pictures"):
        open_video(tmp_path / "memo.mp4")


def test_panoramas(tmp_path: Path) -> None:
    assert facts(tmp_path, movie([(3, 100)], extra=box(b"sv3d", b""))).spherical
    assert not facts(tmp_path, movie([(3, 100)])).spherical


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0\0moov",
        struct.pack(">I4s", 4, b"free") + bytes(40),  # leads back
        struct.pack(">I4sQ", 1, b"mdat", 0) + bytes(40),
        movie([(2**32 - 1, 1)] * 3),  # twelve thousand million frames
        movie([(10, 100)])[:-70],
        movie([(10, 100)]).replace(b"mdhd", b"xxxx"),
        b"RIFF" + bytes(60),
    ],
)
@pytest.mark.timeout(20)
def test_headers_that_say_nothing(tmp_path: Path, content: bytes) -> None:
    assert facts(tmp_path, content).starts_s is None


def test_rhythms() -> None:
    even = np.arange(100) / 30
    assert rhythm_of(even) == rhythm_of(even + 7) == Rhythm()
    assert rhythm_of(np.round(even, 2)) == Rhythm()  # rounded to centiseconds
    assert rhythm_of(even[:2]) == Rhythm()
    assert rhythm_of(even[::-1]) == rhythm_of(np.zeros(9)) == Rhythm()  # not to be believed
    paused = np.concatenate([even[:50], even[50:] + 2])
    assert rhythm_of(paused).varies and rhythm_of(paused).fps == pytest.approx(30)
    assert rhythm_of(np.array([0, 0.001, 0.002, 5])).fps == FASTEST_FPS


def test_a_clock_that_jumps() -> None:
    clock = Clock(10)
    assert [clock.seconds(stamp) for stamp in (5.0, 5.5, 5.4, 9000.0, 9000.2)] == pytest.approx([0, 0.5, 0.6, 0.7, 0.9])
    assert clock.jumps == 1


class Described:
    """OpenCV's capture, with other facts about the file."""

    real = cv2.VideoCapture
    said: ClassVar[dict[int, float]] = {}

    def __init__(self, *source: object) -> None:
        self.capture = Described.real(*source)

    def get(self, what: int) -> float:
        return self.said.get(what, self.capture.get(what))

    def __getattr__(self, name: str) -> object:
        return getattr(self.capture, name)


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for place in range(5):
        writer.write(np.full((48, 64, 3), 40 * place, np.uint8))
    writer.release()
    monkeypatch.setattr(cv2, "VideoCapture", Described)
    return tmp_path / "a.mp4"


@pytest.mark.parametrize(
    ("aspect", "turned", "size"),
    [
        ((1, 1), 0, (48, 64)),
        ((0, 1), 0, (48, 64)),
        ((4, 3), 0, (48, 85)),
        ((3, 4), 0, (64, 64)),
        ((4, 3), 90, (64, 64)),
    ],
)
def test_pixels_become_square(
    clip: Path, monkeypatch: pytest.MonkeyPatch, aspect: tuple[int, int], turned: int, size: tuple[int, int]
) -> None:
    across, down = aspect
    said = {cv2.CAP_PROP_SAR_NUM: across, cv2.CAP_PROP_SAR_DEN: down, cv2.CAP_PROP_ORIENTATION_META: turned}
    monkeypatch.setattr(Described, "said", said)
    with open_video(clip) as opened:
        assert {rgb.shape for rgb in opened} == {(*size, 3)} and (opened.height, opened.width) == size
        assert any("square" in remark for remark in opened.remarks) == (size != (48, 64))
    assert squared(np.zeros((4, 6, 3), np.uint8), 2).shape == (4, 12, 3)


def test_frames_beyond_the_budget_are_refused_by_the_header(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Described, "said", {cv2.CAP_PROP_FRAME_WIDTH: LARGEST_FRAME_PIXELS / 48 + 1})
    monkeypatch.setattr(Described, "read", lambda capture: pytest.fail("decoded"), raising=False)
    with pytest.raises(HqmdError, match=r"a\.mp4: .* pixels; frames have at most 36 megapixels"):
        open_video(clip)


def test_time_stamps(clip: Path) -> None:
    with open_video(clip) as opened:
        stamps = [opened.at_s for _ in opened]
        assert stamps == pytest.approx([0, 0.1, 0.2, 0.3, 0.4]) and opened.rhythm() == Rhythm()
