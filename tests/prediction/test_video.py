"""Video files and cameras: small real clips, a network of plain numpy, and a camera that is played."""

import json
import math
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.files import video as video_writing
from hqmd_cli.files.spool import Spool
from hqmd_cli.files.video import writable_fps, write_video
from hqmd_cli.files.video_source import ASSUMED_FPS, open_video
from hqmd_cli.prediction import colour_range, video_job
from hqmd_cli.prediction.colour_range import RANGE_FRAMES, spread_frames
from hqmd_cli.prediction.video_job import AHEAD, VideoInterrupted, VideoReport, overlap, predict_video
from hqmd_cli.visualization.colormap import colorize

FPS = 10.0
BACKGROUND = 60


def frame(place: int, size: tuple[int, int] = (48, 128)) -> np.ndarray:
    """A red square that moves to the right, 2 pixels a frame, on a grey that brightens; (H, W, 3) RGB."""
    rgb = np.full((*size, 3), BACKGROUND + place, np.uint8)
    rgb[8:24, 2 * place : 2 * place + 16] = (220, 0, 0)
    return rgb


def place_of(rgb: np.ndarray) -> int:
    """Which `frame` a decoded one is, by the middle of its square: codecs change greys by more than a frame's step."""
    band = rgb[10:22].astype(float)
    columns = np.flatnonzero((band[..., 0] - band[..., 1]).mean(axis=0) > 70)
    return round((columns.mean() - 7.5) / 2)


def write_clip(path: Path, frames: int = 30, size: tuple[int, int] = (48, 128), codec: str = "mp4v") -> Path:
    """`frame` 0, 1, ... as OpenCV writes them, at FPS."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), FPS, (size[1], size[0]))
    for place in range(frames):
        writer.write(np.ascontiguousarray(frame(place, size)[..., ::-1]))
    writer.release()
    return path


def cut(path: Path, share: float) -> Path:
    """The first part of a file, in its place."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def forget_length(path: Path) -> Path:
    """Take the duration out of a Matroska file, as browsers' recordings have none: element 0x4489 becomes a Void."""
    data = path.read_bytes()
    assert data.count(b"\x44\x89\x88") == 1
    start = data.index(b"\x44\x89\x88")
    path.write_bytes(data[:start] + b"\xec\x89" + bytes(9) + data[start + 11 :])
    return path


def rotate_quarter(path: Path) -> Path:
    """Write into an .mp4 that it is to be shown turned: the matrix of its track header (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def predict(rgb: np.ndarray) -> np.ndarray:
    """The brighter the farther: grey 100 is 1 m, and the red square nearer than all else."""
    return rgb[..., 1].astype(np.float32) / 100 + np.float32(0.1)


def paint(rgb: np.ndarray, depth_m: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
    return colorize(depth_m, near_m, far_m)


def decode(path: Path) -> list[np.ndarray]:
    with open_video(path) as clip:
        return list(clip)


def leftovers(folder: Path) -> list[str]:
    """Files of a run that should not outlive it."""
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def interrupting(after: int) -> Callable[[np.ndarray], np.ndarray]:
    """predict that is met by a real Ctrl-C in frame `after` + 1."""
    calls = iter(range(10**6))

    def run(rgb: np.ndarray) -> np.ndarray:
        if next(calls) == after:
            signal.raise_signal(signal.SIGINT)
        return predict(rgb)

    return run


class Capture:
    """OpenCV's for a file, for tests to spoil one thing of."""

    open = cv2.VideoCapture

    def __init__(self, *source: Any) -> None:
        self.real = Capture.open(*source)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class Camera:
    """What OpenCV gives for a camera; `frames` pictures, one every `every_s` on the clock that it drives."""

    clock_s = 0.0

    def __init__(self, frames: int = 1000, fps: float = 30.0, every_s: float = 1 / 30, there: bool = True) -> None:
        self.frames, self.fps, self.every_s, self.there = frames, fps, every_s, there
        self.read_frames = 0
        self.released = False

    def isOpened(self) -> bool:
        return self.there

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FRAME_COUNT: -1.0}[what]

    def set(self, what: int, value: float) -> bool:
        return False

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.read_frames == self.frames:
            return False, None
        self.read_frames += 1
        return True, np.ascontiguousarray(frame(self.read_frames % 40)[..., ::-1])

    def release(self) -> None:
        self.released = True

    def seconds(self) -> float:
        """Stands in for time.monotonic: every look at the clock comes with the next frame."""
        self.clock_s += self.every_s
        return self.clock_s


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Camera], Camera]:
    """Make a Camera number 0; files are opened as ever."""
    real = cv2.VideoCapture

    def plug(camera: Camera) -> Camera:
        def capture(source: Any, *more: Any) -> Any:
            return camera if source == 0 else real(source, *more)

        monkeypatch.setattr(cv2, "VideoCapture", capture)
        monkeypatch.setattr(video_job, "monotonic", camera.seconds)
        return camera

    return plug


# Reading


def test_frames_are_rgb_and_in_order(tmp_path: Path) -> None:
    with open_video(write_clip(tmp_path / "a.mp4", 12)) as clip:
        assert (clip.width, clip.height, clip.fps, clip.frames, clip.live) == (128, 48, FPS, 12, False)
        frames = list(clip)
    assert [place_of(rgb) for rgb in frames] == list(range(12))
    assert frames[0].shape == (48, 128, 3) and frames[0].dtype == np.uint8
    red, green, blue = frames[0][14, 6].astype(int)
    assert red > 150 > 80 > max(green, blue)
    assert clip.damaged is None


def test_a_phone_s_rotation_is_applied(tmp_path: Path) -> None:
    """A portrait clip is stored as a landscape one with a note; the square at the top left is then at the right."""
    with open_video(rotate_quarter(write_clip(tmp_path / "a.mp4", 3))) as clip:
        assert (clip.width, clip.height) == (48, 128)
        first = next(iter(clip))
    assert first.shape == (128, 48, 3)
    assert first[4:12, 28:36, 0].mean() > 150 > first[4:12, 4:12, 0].mean()
    assert [rgb.shape for rgb in spread_frames(tmp_path / "a.mp4")] == [(128, 48, 3)] * 3


@pytest.mark.parametrize("name", ["a b.mp4", "line\nbreak.mp4", "räum🏠.mp4", "a:b.mp4", "%03d.mp4", "pipe:0.mp4"])
def test_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder they are in, where `a:b` could be taken for a protocol, `%03d` for a pattern."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "plain.mp4", 2).rename(tmp_path / name)
    report = predict_video(Path(name), Path(f"depth {name}"), predict, paint)
    assert report.frames == len(decode(Path(f"depth {name}"))) == 2


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    """OpenCV crashes on it, without an exception."""
    name = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    try:
        write_clip(tmp_path / "plain.mp4", 2).rename(name)
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(HqmdError, match="UTF-8; rename"):
        open_video(name)


def test_sources_that_are_no_video(tmp_path: Path) -> None:
    """One line each that names the file."""
    (tmp_path / "text.mp4").write_text("hello\n" * 200)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")
    cut(write_clip(tmp_path / "unfinished.mp4"), 0.8)  # its index would have come last
    os.symlink(tmp_path / "nowhere", tmp_path / "link.mp4")
    os.symlink(tmp_path / "loop.mp4", tmp_path / "loop.mp4")
    problems = {
        "text.mp4": "not a video",
        "empty.mp4": "empty",
        "folder.mp4": "not a file",
        "playlist.mp4": "not a video",
        "unfinished.mp4": "never finished",
        "link.mp4": "no such file",
        "missing.mp4": "no such file",
        "loop.mp4": "no such file",
    }
    for name, problem in problems.items():
        with pytest.raises(HqmdError, match=problem) as error:
            open_video(tmp_path / name)
        assert str(error.value).startswith(str(tmp_path / name))


def test_nothing_on_stderr_but_our_own(tmp_path: Path) -> None:
    """FFmpeg would say `moov atom not found`. In a process of its own: it asks once how much it may say."""
    source = cut(write_clip(tmp_path / "unfinished.mp4"), 0.8)
    script = f"""
from pathlib import Path
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.video_source import open_video
try: open_video(Path({str(source)!r}))
except HqmdError: print("refused")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert (run.stdout, run.stderr) == ("refused\n", "")


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mkv", "mp4v")])
def test_a_clip_that_was_cut_off(suffix: str, codec: str, tmp_path: Path) -> None:
    """The frames up to there, and that it is so."""
    source = cut(write_clip(tmp_path / f"a.{suffix}", 60, codec=codec), 0.6)
    whole = decode(source)
    assert 20 < len(whole) < 45 and [place_of(rgb) for rgb in whole] == list(range(len(whole)))
    report = predict_video(source, tmp_path / "depth.mp4", predict, paint)
    assert report.frames == len(decode(tmp_path / "depth.mp4")) == len(whole)
    assert report.damaged is not None and f"{len(whole)} of 60 frames" in report.damaged
    there = sum(place * 60 // RANGE_FRAMES < len(whole) for place in range(RANGE_FRAMES))
    assert f"of {there} frames" in report.range_origin


def test_a_clip_without_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read through instead: the same frames."""

    class Straight(Capture):
        jumped = False

        def set(self, what: int, value: float) -> bool:
            self.jumped |= what == cv2.CAP_PROP_POS_FRAMES
            return not self.jumped

        def read(self) -> tuple[bool, np.ndarray | None]:
            return (False, None) if self.jumped else self.real.read()

    source = write_clip(tmp_path / "a.mp4", 48)
    through = [place_of(rgb) for rgb in spread_frames(source)]
    monkeypatch.setattr(colour_range, "JUMPED", 0)
    by_jumps = [place_of(rgb) for rgb in spread_frames(source)]
    monkeypatch.setattr(cv2, "VideoCapture", Straight)
    assert [place_of(rgb) for rgb in spread_frames(source)] == list(range(0, 48, 48 // RANGE_FRAMES))
    assert through == by_jumps == list(range(0, 48, 48 // RANGE_FRAMES))


def test_damage_in_the_middle(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", 50)
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle - 200 : middle + 200] = bytes(400)
    source.write_bytes(data)
    report = predict_video(source, tmp_path / "depth.mp4", predict, paint)
    assert report.damaged is not None and f"{report.frames} of 50" in report.damaged


def test_a_length_that_is_not_known(tmp_path: Path) -> None:
    totals = []
    source = forget_length(write_clip(tmp_path / "a.mkv", 40))
    report = predict_video(source, tmp_path / "d.mp4", predict, paint, progress=lambda _, total: totals.append(total))
    assert report.frames == 40 and set(totals) == {None} and report.damaged is None
    assert f"{RANGE_FRAMES} frames" in report.range_origin


# Writing


@pytest.mark.parametrize("size", [(48, 64), (49, 65), (1, 1), (64, 36), (3, 200)])
def test_written_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    """Odd ones keep all their pixels; the last row and column are repeated."""
    rgb = np.tile(np.linspace(30, 220, size[0] * size[1]).reshape(*size, 1), 3).astype(np.uint8)
    with write_video(tmp_path / "deeper" / "a.mp4", 25) as file:
        for _ in range(3):
            file.write(rgb)
    (read, *_), even = decode(tmp_path / "deeper" / "a.mp4"), tuple(side + side % 2 for side in size)
    assert read.shape == (*even, 3)
    smooth = np.pad(rgb, ((0, even[0] - size[0]), (0, even[1] - size[1]), (0, 0)), "edge").astype(int)
    assert np.abs(read.astype(int) - smooth).mean() < 8
    assert not leftovers(tmp_path / "deeper")


@pytest.mark.parametrize("fps", [0.5, 12.5, 23.976023976, 30000 / 1001, 65.5355, 120.123, 1000 / 3, 960.0, 1000.0])
def test_frame_rates(fps: float, tmp_path: Path) -> None:
    """All that cameras have; OpenCV's encoder refuses some of them unrounded."""
    with write_video(tmp_path / "a.mp4", fps) as file:
        file.write(frame(0))
        file.write(frame(1))
    with open_video(tmp_path / "a.mp4") as clip:
        assert clip.fps == pytest.approx(fps, rel=1e-4)


@pytest.mark.parametrize("fps", [0.0, math.nan, math.inf, -25.0, 90000.0])
def test_frame_rates_that_are_none(fps: float) -> None:
    assert writable_fps(fps) == ASSUMED_FPS


def test_targets_that_cannot_be_written(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", 3)
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    before = source.read_bytes()
    for target, problem in {
        tmp_path / "depth.avi": "there are .mp4",
        tmp_path / "file" / "depth.mp4": "cannot be written",
        tmp_path / "folder.mp4": "is a folder",
        tmp_path / ("long" * 70 + ".mp4"): "cannot be written",
        tmp_path / os.fsdecode(b"\xff.mp4"): "UTF-8",
        source: "would overwrite",
        link: "would overwrite",
    }.items():
        with pytest.raises(HqmdError, match=problem) as error:
            predict_video(source, target, predict, paint)
        assert str(error.value).startswith(str(target))
    assert source.read_bytes() == before
    assert not leftovers(tmp_path)


def test_a_size_that_no_encoder_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of OpenCV's; PyAV's takes more."""
    monkeypatch.setattr(video_writing, "open_h264", lambda *size: None)
    with pytest.raises(HqmdError, match="16000 x 16"), write_video(tmp_path / "a.mp4", 25) as file:
        file.write(np.zeros((16, 16000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("av") is None, reason="needs PyAV")
@pytest.mark.parametrize("size", [(48, 64), (49, 65), (1, 1)])
def test_h264(tmp_path: Path, size: tuple[int, int]) -> None:
    with write_video(tmp_path / "a.mp4", 30000 / 1001) as file:
        for place in range(5):
            file.write(np.full((*size, 3), 40 * place, np.uint8))
    assert file.codec == "H.264" and b"avc1" in (tmp_path / "a.mp4").read_bytes()
    assert [round(rgb.mean() / 40) for rgb in decode(tmp_path / "a.mp4")] == list(range(5))


def test_a_frame_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match="frame 2 is 66 x 48"), write_video(tmp_path / "a.mp4", 25) as file:
        file.write(frame(0))
        file.write(frame(1, (48, 66)))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
@pytest.mark.parametrize("tells", [True, False])
def test_full_disk(tells: bool, tmp_path: Path) -> None:
    """By a limit on the size of files; also with OpenCV 4, which does not tell that a frame was not written."""
    script = f"""
import resource, signal
from pathlib import Path
import numpy as np
from hqmd_cli.errors import HqmdError
from hqmd_cli.files import video
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).integers(0, 255, (9, 240, 320, 3), np.uint8)
class Silent:
    def __init__(self, writer): self.write_ = writer.write; self.release = writer.release
    def write(self, bgr): self.write_(bgr)
try:
    with video.write_video(Path({str(tmp_path / "a.mp4")!r}), 25) as file:
        if not {tells}:
            real = file._open
            file._open = lambda *size: Silent(real(*size))
        for rgb in noise: file.write(rgb)
except HqmdError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.startswith(str(tmp_path / "a.mp4")) and run.stdout.strip().endswith("is the disk full?")
    if tells and find_spec("av") is None and int(cv2.__version__.split(".")[0]) >= 5:
        assert re.search(r"frame \d cannot", run.stdout)  # at once, not at the end
    assert not list(tmp_path.iterdir())


# Predicting


def test_one_range_from_the_first_frame_to_the_last(tmp_path: Path) -> None:
    """The same grey of depth has the same colour wherever it is; with a range a frame, 29 would look like 0."""
    source = write_clip(tmp_path / "a.mp4", 30)
    seen = []
    report = predict_video(source, tmp_path / "d.mp4", predict, paint, progress=lambda *count: seen.append(count))
    depths = [predict(rgb) for rgb in decode(source)]
    written = decode(tmp_path / "d.mp4")
    assert len(written) == report.frames == 30 and seen == [(done, 30) for done in range(1, 31)]
    for depth_m, rgb in zip(depths, written, strict=True):
        ours = paint(rgb, depth_m, report.near_m, report.far_m)[32:, 8:-8].mean(axis=(0, 1))
        assert np.abs(rgb[32:, 8:-8].mean(axis=(0, 1)) - ours).max() < 12
    change = np.abs(written[0][32:, 8:-8].astype(float).mean(axis=(0, 1)) - written[29][32:, 8:-8].mean(axis=(0, 1)))
    assert change.max() > 40  # so that the tolerance above could not have hidden it
    assert min(depth_m.min() for depth_m in depths) <= report.near_m < 0.35
    assert 0.9 < report.far_m <= max(depth_m.max() for depth_m in depths)
    assert f"1st and 99th percentile of {RANGE_FRAMES} frames" in report.range_origin
    outside = [np.mean((depth_m < report.near_m) | (depth_m > report.far_m)) for depth_m in depths]
    assert report.outside_share == pytest.approx(float(np.mean(outside))) and 0 < report.outside_share < 0.1
    assert report.fps == FPS and report.damaged is None and report.notes == ("without sound",)
    assert not leftovers(tmp_path)


def test_what_is_near_for_a_moment_counts(tmp_path: Path) -> None:
    """Pooled over the clip, a hand in one frame of twenty would vanish below the 1st percentile."""
    near_frames = []

    def hand(rgb: np.ndarray) -> np.ndarray:
        depth_m = np.full(rgb.shape[:2], 5, np.float32)
        if place_of(rgb) == 0:
            depth_m[:10, :10] = 1
            near_frames.append(rgb)
        return depth_m

    report = predict_video(write_clip(tmp_path / "a.mp4", 20), tmp_path / "d.mp4", hand, paint)
    assert len(near_frames) == 1 and (report.near_m, report.far_m) == (1, 5)


@pytest.mark.parametrize("jumped", [0, colour_range.JUMPED])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG")])
def test_each_frame_is_predicted_once(
    jumped: int, name: str, codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By jumps or straight through; the file is the one that two passes gave, to the byte."""
    monkeypatch.setattr(colour_range, "JUMPED", jumped)
    source, places = write_clip(tmp_path / name, 40, codec=codec), []

    def counting(rgb: np.ndarray) -> np.ndarray:
        places.append(place_of(rgb))
        return predict(rgb)

    once = predict_video(source, tmp_path / "once.mp4", counting, paint)
    assert sorted(places) == list(range(40))
    monkeypatch.setattr(colour_range.PredictedOnce, "__call__", lambda self, rgb: self.predict(rgb))
    assert predict_video(source, tmp_path / "twice.mp4", counting, paint) == once and len(places) == 40 + 56
    assert (tmp_path / "once.mp4").read_bytes() == (tmp_path / "twice.mp4").read_bytes()


def test_no_room_for_the_depth_of_the_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_job, "Spool", lambda: Spool(most_bytes=4 * 48 * 128 * 4))
    calls: list[int] = []
    report = predict_video(
        write_clip(tmp_path / "a.mp4", 20), tmp_path / "d.mp4", lambda rgb: calls.append(0) or predict(rgb), paint
    )
    assert report.frames == 20 and len(calls) == 20 + 12
    assert "12 frames were predicted twice, as there was no room for their depth on the disk" in report.notes


@pytest.mark.parametrize(
    ("near_m", "far_m", "origin", "calls"),
    [(0.5, 2.0, "given", 6), (0.05, None, "near given, far the 99th", 6), (None, 3.0, "near the 1st", 6)],
)
def test_a_range_that_is_given(
    near_m: float | None, far_m: float | None, origin: str, calls: int, tmp_path: Path
) -> None:
    """With both there is no first pass."""
    called = []

    def counting(rgb: np.ndarray) -> np.ndarray:
        called.append(rgb)
        return predict(rgb)

    report = predict_video(write_clip(tmp_path / "a.mp4", 6), tmp_path / "d.mp4", counting, paint, near_m, far_m)
    assert report.range_origin.startswith(origin) and len(called) == calls
    assert near_m in (None, report.near_m) and far_m in (None, report.far_m) and report.near_m < report.far_m


@pytest.mark.parametrize(
    ("near_m", "far_m", "problem"),
    [
        (50.0, None, "give both"),
        (None, 0.01, "give both"),
    ],
)
def test_ranges_that_are_none(near_m: float | None, far_m: float | None, problem: str, tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=problem):
        predict_video(write_clip(tmp_path / "a.mp4", 3), tmp_path / "d.mp4", predict, paint, near_m, far_m)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("size", [(49, 65), (64, 36)], ids=["odd", "portrait"])
def test_one_frame(size: tuple[int, int], tmp_path: Path) -> None:
    """As a stream of JPEGs, which alone of what OpenCV writes can have odd sizes."""
    source = tmp_path / "a.mjpeg"
    source.write_bytes(cv2.imencode(".jpg", frame(0, size))[1].tobytes())
    report = predict_video(source, tmp_path / "d.mp4", predict, paint)
    (written,) = decode(tmp_path / "d.mp4")
    assert report.frames == 1 and "of 1 frame spread" in report.range_origin and report.damaged is None
    assert written.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert any("65 x 49" in note for note in report.notes) == (size == (49, 65))


def test_a_picture_larger_than_the_photo(tmp_path: Path) -> None:
    """Side by side, or with a legend: what is painted decides the size."""

    def beside(rgb: np.ndarray, depth_m: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
        return np.hstack([rgb, paint(rgb, depth_m, near_m, far_m)])

    predict_video(write_clip(tmp_path / "a.mp4", 3), tmp_path / "d.mp4", predict, beside)
    assert [place_of(rgb[:, :128]) for rgb in decode(tmp_path / "d.mp4")] == [0, 1, 2]


def test_a_prediction_that_is_no_depth(tmp_path: Path) -> None:
    def broken(rgb: np.ndarray) -> np.ndarray:
        return predict(rgb) * np.float32(math.nan if place_of(rgb) == 4 else 1)

    with pytest.raises(HqmdError, match=r"a\.mp4, frame 5: .* NaN"):
        predict_video(write_clip(tmp_path / "a.mp4", 9), tmp_path / "d.mp4", broken, paint, 0.1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_frame_rate_missing_in_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoRate(Capture):
        def get(self, what: int) -> float:
            return math.nan if what == cv2.CAP_PROP_FPS else self.real.get(what)

    source = write_clip(tmp_path / "a.mp4", 3)
    monkeypatch.setattr(cv2, "VideoCapture", NoRate)
    report = predict_video(source, tmp_path / "d.mp4", predict, paint)
    assert report.fps == ASSUMED_FPS and any("does not say its frame rate" in note for note in report.notes)


# Ctrl-C


def test_ctrl_c_leaves_a_playable_file(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mp4", 30)
    with pytest.raises(KeyboardInterrupt) as stopped:
        predict_video(source, tmp_path / "d.mp4", interrupting(10), paint, 0.1, 1.2)
    assert isinstance(stopped.value, VideoInterrupted)
    assert stopped.value.report.frames == len(decode(tmp_path / "d.mp4")) == 10
    assert not leftovers(tmp_path)


def test_ctrl_c_twice(tmp_path: Path) -> None:
    """The second comes while the frames done before the first are being written."""
    stopping, predicting = threading.Event(), interrupting(6)

    def predict_until(rgb: np.ndarray) -> np.ndarray:
        try:
            return predicting(rgb)
        except KeyboardInterrupt:
            stopping.set()
            raise

    def painting(rgb: np.ndarray, depth_m: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
        if place_of(rgb) == 5:  # the last before the first Ctrl-C: wait for it, then press again
            assert stopping.wait(10)
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
        return paint(rgb, depth_m, near_m, far_m)

    with pytest.raises(VideoInterrupted) as stopped:
        predict_video(write_clip(tmp_path / "a.mp4", 30), tmp_path / "d.mp4", predict_until, painting, 0.1, 1.2)
    assert stopped.value.report.frames == len(decode(tmp_path / "d.mp4")) == 6


@pytest.mark.parametrize("after", [0, 5])
def test_ctrl_c_in_the_first_pass(after: int, tmp_path: Path) -> None:
    """There is nothing to keep yet; what an earlier run wrote stays."""
    (tmp_path / "d.mp4").write_bytes(b"of an earlier run")
    with pytest.raises(KeyboardInterrupt) as stopped:
        predict_video(write_clip(tmp_path / "a.mp4", 30), tmp_path / "d.mp4", interrupting(after), paint)
    assert not isinstance(stopped.value, VideoInterrupted)
    assert (tmp_path / "d.mp4").read_bytes() == b"of an earlier run" and not leftovers(tmp_path)


# Overlap


def test_the_three_stages_overlap() -> None:
    """Item 2 is read while 1 is worked on and 0 is written: each waits for the others, one after another would hang."""
    met = threading.Barrier(3)
    meeting = {("read", 2), ("work", 1), ("write", 0)}

    def stage(name: str, item: int) -> int:
        if (name, item) in meeting:
            met.wait(10)
        return item

    items = iter(range(5))
    written: list[int] = []
    overlap(
        lambda: None if (item := next(items, None)) is None else stage("read", item),
        lambda item: stage("work", item),
        lambda item: written.append(stage("write", item)),
    )
    assert written == [0, 1, 2, 3, 4] and not met.broken


def test_few_frames_in_memory() -> None:
    """However fast the reading and slow the writing is."""
    alive, most, lock = 0, 0, threading.Lock()

    def read() -> Iterator[int]:
        nonlocal alive, most
        for item in range(60):
            with lock:
                alive += 1
                most = max(most, alive)
            yield item

    def write(item: int) -> None:
        nonlocal alive
        threading.Event().wait(0.002)
        with lock:
            alive -= 1

    frames = read()
    overlap(lambda: next(frames, None), lambda item: item, write)
    assert alive == 0 and most <= 2 * AHEAD + 3


def test_a_failing_stage_ends_the_run() -> None:
    def full(item: int) -> None:
        raise HqmdError("full")

    with pytest.raises(HqmdError, match="full"):
        overlap(lambda: 1, lambda item: item, full)


# Cameras


def test_camera(tmp_path: Path, plug_in: Callable[[Camera], Camera]) -> None:
    camera = plug_in(Camera(frames=12))
    report = predict_video(0, tmp_path / "d.mp4", predict, paint)
    assert report.frames == len(decode(tmp_path / "d.mp4")) == 12
    assert report.range_origin == "1st and 99th percentile of the first frame"
    assert report.fps == 30 and report.damaged == "it gave no more frames after 12" and report.notes == ()
    assert camera.released


def test_camera_plays_in_real_time(tmp_path: Path, plug_in: Callable[[Camera], Camera]) -> None:
    """A network that manages 5 of the 30 frames a second: 11 frames are two seconds of film."""
    plug_in(Camera(frames=11, every_s=0.2))
    report = predict_video(0, tmp_path / "d.mp4", predict, paint)
    assert report.frames == 11 and len(decode(tmp_path / "d.mp4")) == 61
    assert any("50 frames repeated" in note for note in report.notes)


def test_camera_until_ctrl_c(tmp_path: Path, plug_in: Callable[[Camera], Camera]) -> None:
    camera = plug_in(Camera(fps=0))
    with pytest.raises(VideoInterrupted) as stopped:
        predict_video(0, tmp_path / "d.mp4", interrupting(7), paint, None, 1.5)
    report: VideoReport = stopped.value.report
    assert report.frames == 7 and report.range_origin == "near the 1st percentile of the first frame, far given"
    assert report.fps == ASSUMED_FPS and any("frame rate" in note for note in report.notes)
    assert camera.released and decode(tmp_path / "d.mp4")


def test_camera_that_is_not_there(tmp_path: Path, plug_in: Callable[[Camera], Camera]) -> None:
    for camera in (Camera(there=False), Camera(frames=0)):
        plug_in(camera)
        with pytest.raises(HqmdError, match="camera 0: "):
            predict_video(0, tmp_path / "d.mp4", predict, paint)
        assert camera.released
    assert not list(tmp_path.iterdir())


def test_no_torch() -> None:
    script = "import sys, hqmd_cli.files.video; sys.exit(bool({'torch', 'timm', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


# Frames in files


FAST = ("--format", "mm,npy", "-m", "hqmd-indoor-small", "--size", "fast")


@pytest.mark.slow
def test_frames_in_metres_with_their_time(hqmd: Callable[..., Any], tmp_path: Path) -> None:
    """A file of each format for every frame, a row of the manifest each; what is missing is made by the next run."""
    write_clip(tmp_path / "a.mp4", 4)
    call = ("predict", tmp_path / "a.mp4", "-o", tmp_path / "out", *FAST)
    run = hqmd(*call)
    assert run.returncode == 0, run.stderr
    names = [f"{number:06}.{suffix}" for number in range(1, 5) for suffix in ("mm.png", "npy")]
    assert sorted(path.name for path in (tmp_path / "out" / "a").iterdir()) == names
    rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [row["place"] for row in rows] == [f"a/{number:06}.mp4" for number in range(1, 5)]
    assert [row["frame"] for row in rows] == [1, 2, 3, 4]
    assert [row["time_s"] for row in rows] == pytest.approx([0, 0.1, 0.2, 0.3])
    depth_m = np.load(tmp_path / "out" / "a" / "000002.npy", allow_pickle=False)
    millimetres = cv2.imread(str(tmp_path / "out" / "a" / "000002.mm.png"), cv2.IMREAD_UNCHANGED)
    assert depth_m.shape == (48, 128) and np.abs(millimetres - 1000 * depth_m).max() < 0.51
    assert hqmd(*call).returncode == 1  # nothing is overwritten unasked
    (tmp_path / "out" / "a" / "000003.npy").unlink()
    again = hqmd(*call, "--skip-existing")
    assert again.returncode == 0 and "1 frames, 3 left as they are" in again.stderr
    assert np.load(tmp_path / "out" / "a" / "000003.npy", allow_pickle=False).shape == (48, 128)


KILLED = """
import os, sys
from hqmd_cli import app
from hqmd_cli.prediction.manifest import Manifest
append = Manifest.append
Manifest.append = lambda self, row: os._exit(9) if row.get("frame") == 3 else append(self, row)
app.run()
"""


@pytest.mark.slow
def test_frames_of_a_run_that_was_killed(hqmd: Callable[..., Any], tmp_path: Path) -> None:
    """Between a frame's files and their record: the next run knows whose they are, and makes them anew."""
    write_clip(tmp_path / "a.mp4", 4)
    call = ["predict", str(tmp_path / "a.mp4"), "-o", str(tmp_path / "out"), *FAST]
    assert subprocess.run([sys.executable, "-c", KILLED, *call], timeout=120, check=False).returncode == 9
    assert (tmp_path / "out" / "a" / "000003.npy").is_file()
    again = hqmd(*call, "--skip-existing")
    assert again.returncode == 0 and "2 frames, 2 left as they are" in again.stderr, again.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "manifest.jsonl"]


def test_an_animation_is_a_video_where_one_is_asked_for(tmp_path: Path) -> None:
    """Its frames are shown as long as they were: here 0.1 s, then 0.5 s."""
    from PIL import Image

    pictures = [Image.fromarray(frame(place)) for place in range(6)]
    pictures[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 100, 500, 100, 100, 100]
    )
    report = predict_video(tmp_path / "a.gif", tmp_path / "d.mp4", predict, paint)
    assert report.frames == 6 and report.fps == 10 and len(decode(tmp_path / "d.mp4")) == 10
    assert any("varies" in note for note in report.notes) and any("4 frames repeated" in note for note in report.notes)


def vary(path: Path, ticks: list[tuple[int, int]]) -> Path:
    """Give the frames of an .mp4 other lengths: (count, ticks). The table of times takes the place of one behind it."""
    data = bytearray(path.read_bytes())
    start = data.index(b"stts") - 4
    (size,) = struct.unpack_from(">I", data, start)
    table = struct.pack(">I4sII", 16 + 8 * len(ticks), b"stts", 0, len(ticks))
    table += b"".join(struct.pack(">II", *entry) for entry in ticks)
    grown = len(table) - size
    data[start : start + size] = table
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):  # the boxes around it
        place = data.index(kind) - 4
        data[place : place + 4] = struct.pack(">I", struct.unpack_from(">I", data, place)[0] + grown)
    data = data.replace(b"elst", b"free").replace(b"edts", b"free")  # whose length would cut the clip
    path.write_bytes(data)
    return path


def test_a_frame_rate_that_varies(tmp_path: Path) -> None:
    """Each frame is shown when it was, the last one as long as it was."""
    source = write_clip(tmp_path / "a.mp4", 8)
    scale = struct.unpack_from(">I", source.read_bytes(), source.read_bytes().index(b"mdhd") + 16)[0]
    tenth = scale // 10
    vary(source, [(3, tenth), (1, 5 * tenth), (3, tenth), (1, 4 * tenth)])
    with open_video(source) as clip:
        assert clip.facts.end_s == pytest.approx(1.5)
    report = predict_video(source, tmp_path / "d.mp4", predict, paint, 0.1, 2)
    assert report.frames == 8 and report.fps == pytest.approx(10) and report.damaged is None
    assert len(decode(tmp_path / "d.mp4")) == 15
