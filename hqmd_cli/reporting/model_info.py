"""Descriptions of a checkpoint or a training run for `hqmd info`. hqmd's own networks need no torch for this."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.config_file import read_version
from hqmd_cli.checkpoints.hub import BEST, CONFIG_FILE, HUB_FILES, LAST, ONNX_FILES
from hqmd_cli.checkpoints.info import CheckpointInfo, require_figures
from hqmd_cli.checkpoints.run_folder import CHOSEN_BY, best_row, is_figure, read_history
from hqmd_cli.checkpoints.settings import Setting, compared, paper_of, shown
from hqmd_cli.checkpoints.weights import count_parameters
from hqmd_cli.errors import HqmdError
from hqmd_cli.units import DIGITS

SHOWN = ("loss", CHOSEN_BY, "AbsRel", "delta1", "lr")  # columns of a history, after epoch and step
NEWEST = 10  # rows of a history that are printed

Sections = Mapping[str, list[Setting]]


def describe_checkpoint(folder: Path, name: str = "") -> dict[str, Any]:
    """Describe a checkpoint as plain data for JSON, under `name` or else the folder's name.

    Raises HqmdError if one of its files cannot be read.
    """
    info = read_info(folder)
    try:
        require_figures(info.figures)
        sections = settings_of(info)
    except HqmdError as error:
        raise HqmdError(f"{folder / CONFIG_FILE}: {error}") from error
    files = {file: (folder / file).stat().st_size for file in HUB_FILES if (folder / file).is_file()}
    graphs = [f"onnx-{p}" if p != "fp32" else "onnx" for p, file in ONNX_FILES.items() if file in files]
    return {
        "model": name or folder.resolve().name,
        "hqmd_version": read_version(folder),
        "parameters": count_parameters(folder),
        "bytes": sum(files.values()),
        "files": files,
        "engines": ["torch", *graphs],
        "data": info.data,
        "step": info.step,
        "backbone_weights": info.backbone_weights,
        "teacher": info.teacher,
        "command": info.command,
        "note": info.note,
        "settings": {
            section: {setting.name: setting.to_dict() for setting in settings} for section, settings in sections.items()
        },
        "figures": info.figures,
    }


def settings_of(info: CheckpointInfo) -> Sections:
    """Return the settings by section: one section for each network, and one for the training."""
    members = info.model.members
    heads = ["network", *(f"network {number}" for number in range(2, len(members) + 1))]
    networks = {head: compared(m, paper_of(m.network.system)[0]) for head, m in zip(heads, members, strict=True)}
    return {**networks, "training": compared(info.training, paper_of(info.model.network.system)[1])}


def describe_run(run_dir: Path) -> dict[str, Any]:
    """Describe a run's folder: its history so far, and its best and last checkpoint, None while there is none."""
    rows = read_history(run_dir)
    best = best_row(rows)
    kept = {
        name: describe_checkpoint(run_dir / name) if (run_dir / name / CONFIG_FILE).is_file() else None
        for name in (BEST, LAST)
    }
    return {
        "run": run_dir.resolve().name,
        "epochs": len(rows),
        "best_epoch": best["epoch"] if best else None,
        **kept,
        # An epoch without a step has a loss of NaN, which JSON does not know.
        "history": [{name: value if is_figure(value) else None for name, value in row.items()} for row in rows],
    }


def checkpoint_text(about: Mapping[str, Any]) -> str:
    """Write a checkpoint's description for the terminal."""
    lines = [
        about["model"],
        f"  {about['parameters'] / 1e6:.2f} M parameters, {megabytes(about['bytes'])} on disk: "
        + ", ".join(f"{name} {megabytes(size)}" for name, size in about["files"].items()),
        f"  engines           {', '.join(about['engines'])}",
        f"  made by hqmd      {about['hqmd_version'] or 'of an unknown version'}",
        f"  trained on        {about['data'] or 'unknown data'}",
        f"  steps             {about['step']}",
        f"  started from      {about['backbone_weights']}",
        f"  teacher           {about['teacher'] or 'none'}",
        f"  command           {about['command'] or 'not recorded'}",
    ]
    for section, settings in about["settings"].items():
        lines += ["", f"{section} (* differs from the paper, whose value is in brackets)", *setting_lines(settings)]
    lines += ["", *figure_lines(about["figures"])]
    if about["note"]:
        lines += ["", about["note"].strip()]
    return "\n".join(lines) + "\n"


def setting_lines(settings: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each setting."""
    width = max(map(len, settings))
    for name, setting in settings.items():
        theirs = f"  ({shown(setting['paper'])})" if setting["differs"] else ""
        yield f"{'*' if setting['differs'] else ' '} {name:{width}}  {shown(setting['value'])}{theirs}"


def figure_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the recorded figures, below the data and the protocol they were measured with."""
    if not figures:
        yield "not measured"
        return
    yield f"measured on {figures['data']} ({figures['n']} pictures)"
    yield f"protocol {figures['protocol']}: {figures['recipe']}"
    if figures.get("remark"):
        yield figures["remark"]
    yield figures.get("intervals_by", "")
    for name, value in figures["metrics"].items():
        ends = figures["intervals"].get(name)
        yield f"  {name:8} {number(value):>8}" + (f"  {number(ends[0])} to {number(ends[1])}" if ends else "")


def run_text(about: Mapping[str, Any]) -> str:
    """Write a run's description for the terminal: history, step of the last checkpoint, and the best one in full."""
    rows, best = about["history"], about["best_epoch"]
    if not rows:
        lines = [f"{about['run']}: a run before the end of its first epoch"]
    else:
        epochs = f"{len(rows)} epoch{'s' if len(rows) != 1 else ''}"
        lines = [f"{about['run']}: a run of {epochs} and {rows[-1]['step']} steps so far", *history_lines(rows, best)]
    last = about[LAST]
    if last:
        lines.append(
            f"{LAST} is from step {last['step']}" + (f", {BEST} from step {about[BEST]['step']}" if about[BEST] else "")
        )
    chosen = about[BEST] or last
    return "\n".join(lines) + "\n" + ("\n" + checkpoint_text(chosen) if chosen else "")


def history_lines(rows: list[dict[str, Any]], best: int | None) -> Iterator[str]:
    """Yield the newest rows of a history and the best one, marked with a star."""
    columns = [name for name in SHOWN if any(name in row for row in rows)]
    yield f"  {'epoch':>5} {'step':>8}" + "".join(f" {name:>9}" for name in columns)
    if len(rows) > NEWEST:
        yield f"  {'...':>5}"
    for place, row in enumerate(rows):
        if place >= len(rows) - NEWEST or row["epoch"] == best:
            mark = "*" if row["epoch"] == best else " "
            yield f"{mark} {row['epoch'] + 1:>5} {row['step']:>8}" + "".join(
                f" {cell(row, name):>9}" for name in columns
            )


def cell(row: Mapping[str, Any], name: str) -> str:
    """Format a value of a history; a learning rate is too small for DIGITS decimals."""
    value = row.get(name)
    return f"{value:.3g}" if name == "lr" and isinstance(value, (int, float)) else number(value)


def number(value: Any) -> str:
    """Format a figure as everywhere else."""
    return f"{value:.{DIGITS}f}" if isinstance(value, (int, float)) else "unknown"


def megabytes(size: int) -> str:
    """Format a number of bytes."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
