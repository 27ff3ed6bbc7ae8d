"""What `hqmd predict` prints about a video or a camera: the file on stdout, everything else on stderr."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from hqmd_cli.errors import printable
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.installed import how_to_install
from hqmd_cli.prediction.plan import refuse_metres
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.sources import find_video
from hqmd_cli.prediction.video_job import VideoInterrupted, VideoReport, predict_in_style, require_video_target
from hqmd_cli.terminal.progress import progress_bar
from hqmd_cli.terminal.stops import Stop, stops_as_interrupts
from hqmd_cli.units import IN_WORDS, Kind
from hqmd_cli.visualization.colormap import in_numbers


def run_video(
    sources: Sequence[str],
    destinations: Sequence[Path],
    open_with: Callable[[int], OpenModel],
    style: Style,
    overwrite: bool,
    smooth: bool,
) -> None:
    """Predict a video, and say what the file holds. Exit code 1 if the source was damaged, 130 after Ctrl-C."""
    source = find_video(sources)
    target = require_video_target(destinations, overwrite)
    opened = open_with(0)
    refuse_metres(opened.kind, opened.name, [], style, None, smooth)
    print(opened.in_words, file=sys.stderr)
    stopped = False
    stop = Stop()
    try:
        with stops_as_interrupts() as stop, progress_bar("frames") as progress:
            report = predict_in_style(source, target, opened, style, progress, smooth)
    except VideoInterrupted as interrupt:
        report, stopped = interrupt.report, True
    except KeyboardInterrupt:
        print("hqmd: interrupted before the first frame was written", file=sys.stderr)
        raise typer.Exit(stop.exit_code) from None
    print(printable(str(target)))
    describe(report, opened.kind)
    if stopped:
        print("hqmd: interrupted; the file holds the frames done so far", file=sys.stderr)
        raise typer.Exit(stop.exit_code)
    if report.damaged:
        print(f"hqmd: {report.damaged}", file=sys.stderr)
        raise typer.Exit(1)


def describe(report: VideoReport, kind: Kind) -> None:
    """Print on stderr what the file shows."""
    plays = "" if report.codec == "H.264" else f"; browsers play H.264, which hqmd writes after {how_to_install('av')}"
    print(f"{report.frames} frames, {report.fps:g} a second, in {report.codec}{plays}", file=sys.stderr)
    ends = f"from {report.near_m:.2f} to {report.far_m:.2f} metres"
    if kind != "depth":
        ends = f"of {IN_WORDS[kind]}: near {in_numbers(report.near_m, kind)}, far {in_numbers(report.far_m, kind)}"
    print(
        f"colours {ends} ({report.range_origin}); {report.outside_share:.1%} of the pixels lie outside", file=sys.stderr
    )
    for note in report.notes:
        print(note, file=sys.stderr)
