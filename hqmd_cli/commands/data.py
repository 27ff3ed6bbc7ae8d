"""`hqmd data`: list published sets, download NYU Depth V2, prepare its raw recordings, and split your own pairs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import OverwriteOption
from hqmd_cli.errors import INTERRUPTED, HqmdError, complain

data = typer.Typer(
    help="List the published datasets that hqmd reads, download NYU Depth V2, turn its raw recordings into pairs, and "
    "split your own pairs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
NAMED = 10  # frames left out that are printed; LEFT_OUT names all of them
LEFT_OUT = "left-out.log"  # .txt would be a split


@data.command("list")
def list_sets() -> None:
    """List the published datasets that hqmd reads, each with its source, licence and folder layout.

    hqmd downloads only NYU Depth V2 (`hqmd data nyu`). Unpack any other set and pass its folder as `--data`.

    \b
    hqmd data list
    """
    from hqmd_cli.data import published_sets

    for reader in published_sets():
        print(f"{reader.title}\n  from     {reader.home}\n  licence  {reader.licence}\n  layout   {reader.layout}")


@data.command()
def nyu(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="Where to save it.  [default: where hqmd finds it]"),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Download from a mirror.  [default: NYU's own server]")] = None,
) -> None:
    """Download the labelled file of NYU Depth V2, 3.0 GB. An interrupted download continues where it stopped.

    NYU publishes no checksum, so size and SHA-256 are compared with those that other projects measured.

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
    path = path if path.suffix.lower() == ".mat" else path / NYU_FILE  # only a .mat is read as NYU
    try:
        with progress_bar(NYU_FILE, file.size, in_bytes=True) as update:
            done = fetch(file, path, update)
    except KeyboardInterrupt:
        print("hqmd: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    print(f"{path}: {done}, {file.size} bytes, sha256 {file.sha256}", file=sys.stderr)


@data.command()
def split(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="A folder with rgb/ and depth/.")],
    val_share: Annotated[float, typer.Option(help="Share of the pairs that go into val.txt.")] = 0.2,
    overwrite: OverwriteOption = False,
) -> None:
    """Write train.txt and val.txt for a folder of your own pairs.

    Names that differ only in their last number, such as kitchen_001 and kitchen_002, count as one recording, which is
    never divided between the lists. The same names always give the same lists. Photos without depth are an error;
    `hqmd check` names them.

    \b
    hqmd data split pairs/
    hqmd train --data pairs/ --recipe indoor-small --start hqmd-indoor-small
    """
    import os

    from hqmd_cli.data.split_pairs import part
    from hqmd_cli.files.atomic import write_bytes
    from hqmd_cli.files.outputs import refuse_existing_outputs

    files = [pairs / "train.txt", pairs / "val.txt"]
    refuse_existing_outputs(files, overwrite)
    *lists, how = part(pairs, val_share)
    for file, names in zip(files, lists, strict=True):
        write_bytes(file, os.fsencode("".join(f"{name}\n" for name in names)))
    print(f"{pairs}: {len(lists[0])} pairs in train.txt, {len(lists[1])} in val.txt: {how}", file=sys.stderr)


@data.command("nyu-raw")
def nyu_raw(
    raw: Annotated[
        Path, typer.Argument(metavar="RAW_DIR", help="NYU's raw archives, unpacked: SCENE/d-*.pgm, r-*.ppm.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PAIRS", help="Folder for the pairs.")],
    frames: Annotated[int, typer.Option(min=1, help="Number of frames, evenly spaced over all recordings.")] = 120_000,
    fill: Annotated[
        bool, typer.Option("--fill", help="Fill holes in the depth, guided by the photo (Levin et al.); 10x slower.")
    ] = False,
    scenes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.mat|LIST.txt|all",
            help="Leave out the rooms of this file's test pictures; or use only the listed scenes, or all of them.  "
            "[default: nyu_depth_v2_labeled.mat from `hqmd data nyu`]",
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of processes.  [default: one per core]")] = None,
) -> None:
    """Turn NYU's raw recordings into pairs of photo and depth.

    Photos and depth are matched by time, and depth is given in metres from the photo's camera. Existing pairs are kept,
    so a stopped run can be continued. Damaged frames are named and left out.

    \b
    hqmd data nyu-raw nyu_raw/ -o nyu_pairs/ --frames 120000
    hqmd train --data nyu_pairs/ -o runs/paper
    """
    from hqmd_cli.data.nyu_raw.prepare import make_pairs, plan_pairs, write_splits
    from hqmd_cli.files.atomic import write_pieces
    from hqmd_cli.parallel.processes import usable_cores
    from hqmd_cli.terminal.progress import with_progress

    plan = plan_pairs(raw, frames, fill, scenes)
    reasons = "".join(f", {number} left out: {reason}" for reason, number in plan.excluded().items())
    few = f", fewer than the {frames} wanted" if plan.available < frames else ""
    print(f"{raw}: {plan.available} frames of {len(plan.scenes)} scenes{reasons}{few}", file=sys.stderr)
    outcomes = make_pairs(plan, raw, output, workers or usable_cores())
    faults: dict[str, str] = {}  # name of the frame -> why it is left out
    try:
        for frame, fault in with_progress(outcomes, "frames", len(plan.frames)):
            if fault:
                faults[frame.name] = fault
                if len(faults) <= NAMED:
                    complain(HqmdError(f"left out: {fault}"))
    except KeyboardInterrupt:
        print("hqmd: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    log = output / LEFT_OUT
    log.unlink(missing_ok=True)
    if faults:
        write_pieces(log, (f"{fault}\n" for fault in faults.values()))
    if not (splits := write_splits(plan, output, faults)):
        raise HqmdError(f"{raw}: none of the {len(plan.frames)} frames could be used; {log} says why")
    pairs = f"{sum(splits.values())} pairs ({', '.join(f'{number} {split}' for split, number in splits.items())})"
    skipped = f"; {len(faults)} frames left out, see {log}" if faults else ""
    print(f"{output}: {pairs}{skipped}", file=sys.stderr)
