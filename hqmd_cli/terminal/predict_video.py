"""The part of `hqmd predict` that answers to video: one file or camera in, one .mp4 out."""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from hqmd_cli.errors import INTERRUPTED, HqmdError, printable
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.prediction.outputs import Look, painted
from hqmd_cli.prediction.video_job import VideoInterrupted, VideoReport, predict_video
from hqmd_cli.terminal.progress import progress_bar
from hqmd_cli.units import IN_WORDS, Kind
from hqmd_cli.visualization.colormap import in_numbers

CAMERA = "camera:"


def source_of(sources: Sequence[str]) -> Path | int:
    """The one video or camera. Raises HqmdError when there is more beside it."""
    if len(sources) > 1:
        raise HqmdError(f"{sources[0]}: a video or a camera goes alone; run the other sources apart")
    (source,) = sources
    if not source.startswith(CAMERA):
        return Path(source)
    number = source.removeprefix(CAMERA)
    if not number.isdecimal():
        raise HqmdError(f"{source}: a camera is camera:0, camera:1 and so on")
    return int(number)


def answer_video(sources: Sequence[str], output: Sequence[Path], look: Look, model: OpenModel, overwrite: bool) -> None:
    """Predict, and say what became of it. Exit code 1 where the source was damaged, 130 after Ctrl-C."""
    source = source_of(sources)
    if len(output) > 1 or output[0].suffix.lower() != ".mp4":
        raise HqmdError(f"{output[-1]}: depth of video is one .mp4; give one -o NAME.mp4")
    (target,) = output
    if target.exists() and not overwrite:
        raise HqmdError(f"{target}: exists already; pass --overwrite")
    stopped = False
    try:
        with progress_bar("frames") as progress:
            report = predict_video(
                source,
                target,
                model,
                lambda image, depth_m, near_m, far_m: painted(image, depth_m, near_m, far_m, look, model.kind),
                look.near_m,
                look.far_m,
                progress,
                kind=model.kind,
            )
    except VideoInterrupted as interrupt:
        report, stopped = interrupt.report, True
    except KeyboardInterrupt:
        print("hqmd: interrupted before the first frame was written", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    print(printable(str(target)))
    describe(report, model.kind)
    if stopped:
        print("hqmd: interrupted; what was done is in the file", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if report.damaged:
        print(f"hqmd: {report.damaged}", file=sys.stderr)
        raise typer.Exit(1)


def describe(report: VideoReport, kind: Kind) -> None:
    """What the file shows, on stderr."""
    print(f"{report.frames} frames, {report.fps:g} a second", file=sys.stderr)
    ends = f"from {report.near_m:.2f} to {report.far_m:.2f} metres"
    if kind != "depth":
        ends = f"of {IN_WORDS[kind]}: near {in_numbers(report.near_m, kind)}, far {in_numbers(report.far_m, kind)}"
    print(
        f"colours {ends} ({report.range_origin}); {report.outside_share:.1%} of the pixels lie outside", file=sys.stderr
    )
    for note in report.notes:
        print(note, file=sys.stderr)
