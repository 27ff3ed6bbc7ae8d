"""`hqmd data nyu` and `hqmd data nyu-raw`: NYU Depth V2, got and made ready."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.errors import INTERRUPTED, HqmdError, complain

data = typer.Typer(help="Get data, and make pairs of recordings.", no_args_is_help=True, rich_markup_mode=None)
NAMED = 10  # frames that are left out are named one by one up to so many, and all in a file
LEFT_OUT = "left-out.log"  # .txt would be a split


@data.command()
def nyu(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="Where to.  [default: where hqmd finds it by itself]"),
    ] = None,
    url: Annotated[str | None, typer.Option(help="A mirror.  [default: NYU's own server]")] = None,
) -> None:
    """Download NYU Depth V2's labelled file, 3.0 GB; a download that broke off goes on where it was.

    Size and SHA-256 are compared to those that others have measured of the file; NYU publishes none.

    \b
    hqmd data nyu
    hqmd data nyu -o data/
    """
    from dataclasses import replace

    from hqmd_cli.data import NYU_FILE, downloaded_nyu
    from hqmd_cli.data.nyu import LABELLED
    from hqmd_cli.files.download import fetch
    from hqmd_cli.terminal.progress import progress_bar

    file = replace(LABELLED, url=url or LABELLED.url)
    if not file.url.startswith(("https://", "http://")):
        raise HqmdError(f"{file.url}: not an address that begins with https:// or http://")
    path = output or downloaded_nyu()
    path = path if path.suffix.lower() == ".mat" else path / NYU_FILE  # by another suffix it would not be read
    try:
        with progress_bar(NYU_FILE, file.size, in_bytes=True) as update:
            done = fetch(file, path, update)
    except KeyboardInterrupt:
        print("hqmd: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    print(f"{path}: {done}, {file.size} bytes, sha256 {file.sha256}", file=sys.stderr)


@data.command("nyu-raw")
def nyu_raw(
    raw: Annotated[
        Path, typer.Argument(metavar="RAW_DIR", help="NYU's raw archives, unpacked: SCENE/d-*.pgm, r-*.ppm.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PAIRS", help="The folder of pairs.")],
    frames: Annotated[int, typer.Option(min=1, help="How many, evenly over all recordings.")] = 120_000,
    fill: Annotated[
        bool, typer.Option("--fill", help="Fill holes of the depth along the photo (Levin et al.); ten times slower.")
    ] = False,
    scenes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.mat|LIST.txt|all",
            help="Leave out the rooms of the labelled file's test pictures; or take listed scenes, or all.  "
            "[default: nyu_depth_v2_labeled.mat as `hqmd data nyu` got it]",
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.  [default: a core each]")] = None,
) -> None:
    """Make pairs of NYU's raw recordings: synchronised, in metres, and as the photo's camera sees them.

    What was made is not made again, so a run that was stopped goes on. Frames that are damaged are named and left out.

    \b
    hqmd data nyu-raw nyu_raw/ -o nyu_pairs/ --frames 120000
    hqmd train --data nyu_pairs/ -o runs/paper
    """
    from hqmd_cli.data.nyu_raw.prepare import make_pairs, plan_pairs, write_splits
    from hqmd_cli.files.atomic import write_pieces
    from hqmd_cli.terminal.progress import with_progress

    plan = plan_pairs(raw, frames, fill, scenes)
    reasons = "".join(f", {number} left out: {why}" for why, number in plan.left_out().items())
    few = f", fewer than the {frames} wanted" if plan.available < frames else ""
    print(f"{raw}: {plan.available} frames of {len(plan.scenes)} scenes{reasons}{few}", file=sys.stderr)
    outcomes = make_pairs(plan, raw, output, workers or os.cpu_count() or 1)
    faults: dict[str, str] = {}  # name -> what is wrong with the frame
    try:
        for frame, fault in with_progress(outcomes, "frames", len(plan.frames)):
            if fault:
                faults[frame.name] = fault
                if len(faults) <= NAMED:
                    complain(HqmdError(f"left out: {fault}"))
    except KeyboardInterrupt:
        print("hqmd: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    (output / LEFT_OUT).unlink(missing_ok=True)
    if faults:
        write_pieces(output / LEFT_OUT, (f"{fault}\n" for fault in faults.values()))
    if not (splits := write_splits(plan, output, faults)):
        raise HqmdError(f"{raw}: none of the {len(plan.frames)} frames could be used; {output / LEFT_OUT} says why")
    pairs = f"{sum(splits.values())} pairs ({', '.join(f'{number} {split}' for split, number in splits.items())})"
    told = f"; {len(faults)} frames left out, see {output / LEFT_OUT}" if faults else ""
    print(f"{output}: {pairs}{told}", file=sys.stderr)
