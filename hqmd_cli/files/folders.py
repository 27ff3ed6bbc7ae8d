"""Folders that are replaced as a whole: whoever opens one finds the old files or the new ones, never some of each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from hqmd_cli.files.atomic import explain_write_errors


def aside_of(path: Path) -> Path:
    """Where what is to become `path` is written."""
    return path.with_name(f".{path.name}.new")


def former_of(path: Path) -> Path:
    """Where what was at `path` lies while the new one takes its place."""
    return path.with_name(f".{path.name}.old")


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A place beside `path` to fill, in a `with`; at its end, once on the disk, it takes the place of what was there.

    A process that is killed leaves either one whole, for between two renames the old one waits under another name:
    `mended_folder` puts it back. Raises HqmdError for a full disk, and then the old one is as it was.
    """
    mended_folder(path)
    aside, former = aside_of(path), former_of(path)
    with explain_write_errors(path):
        try:
            aside.mkdir(parents=True)
            yield aside
            for file in (*aside.iterdir(), aside):
                sync(file)
            if path.exists():
                path.rename(former)
            aside.rename(path)
            sync(path.parent)
        finally:
            rmtree(aside, ignore_errors=True)
        rmtree(former, ignore_errors=True)


def mended_folder(path: Path) -> None:
    """Clear away what a killed process left, and put the old folder back if the new one had not taken its place."""
    rmtree(aside_of(path), ignore_errors=True)
    if former_of(path).exists():
        if path.exists():
            rmtree(former_of(path), ignore_errors=True)
        else:
            former_of(path).rename(path)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk and would outlast a loss of power."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
