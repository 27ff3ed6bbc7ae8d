"""hqmd and its tests run on Windows and macOS: what only Unix or Linux has is asked for, not assumed."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UNIX_MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty")
UNIX_NAMES = {
    "os": (
        "fork", "mkfifo", "geteuid", "getuid", "seteuid", "killpg", "setsid", "chown", "sched_setaffinity",
        "sched_getaffinity", "getloadavg", "WIFSIGNALED", "waitpid", "WNOHANG", "statvfs", "O_NOFOLLOW", "O_NONBLOCK",
    ),
    "signal": (
        "SIGKILL", "SIGHUP", "SIGALRM", "setitimer", "pthread_sigmask", "SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK",
    ),
    "socket": ("AF_UNIX",),
}  # fmt: skip
NAMED = re.compile("|".join(rf"\b{module}\.(?:{'|'.join(names)})\b" for module, names in UNIX_NAMES.items()))
IN_TEXT = re.compile(r"(?<![\w.])/dev/(zero|null|full)|/proc/self|\bimport (resource|fcntl|pwd)\b")
# What says that a test or a helper knows where it runs.
GUARDS = re.compile(r"pytest\.mark\.(unix|skipif)|hasattr\(os, |/proc/self/status'\)\.exists|sys\.platform")
# Scripts and helpers that only tests with a guard run.
HELPERS = {
    "tests/kill_harness.py",
    "tests/data/test_cache.py:BUILDER",
    "tests/files/test_photos.py:READ_IN_A_NEW_PROCESS",
    "tests/training/test_fine_tuning.py:killed_run",
}
WITHOUT_UNIX = f"""
import importlib, os, signal, socket, subprocess, sys, tempfile, threading, concurrent.futures, selectors, PIL.Image
for module, names in {UNIX_NAMES!r}.items():
    for name in names:
        vars(importlib.import_module(module)).pop(name, None)
sys.modules.update(dict.fromkeys({UNIX_MODULES!r}))
from hqmd_cli.app import main
main()
"""


def pieces(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each function, class and assignment at the top of a file."""
    for node in ast.parse(path.read_text("utf-8")).body:
        named = node.targets[0] if isinstance(node, ast.Assign) else node
        yield getattr(named, "id", getattr(named, "name", type(node).__name__)), ast.unparse(node)


def only_on_unix(text: str) -> list[str]:
    """Return what a piece of code uses that Windows does not have."""
    return [match[0] for pattern in (NAMED, IN_TEXT) for match in pattern.finditer(text)]


@pytest.mark.slow
def test_what_only_unix_has_stands_behind_a_mark() -> None:
    unguarded = []
    for path in (ROOT / "tests").rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        if path == Path(__file__) or place in HELPERS or "pytestmark" in path.read_text("utf-8"):
            continue
        for name, text in pieces(path):
            if only_on_unix(text) and not GUARDS.search(text) and f"{place}:{name}" not in HELPERS:
                unguarded.append(f"{place}: {name} uses {', '.join(only_on_unix(text))}; mark it with pytest.mark.unix")
    assert unguarded == []


@pytest.mark.slow
def test_the_package_asks_before_it_uses_what_only_unix_has() -> None:
    asked = re.compile(r"hasattr\(|getattr\(|except ImportError|fcntl\.|^OWN_CGROUPS")
    found = [
        f"{path.name}: {name} uses {only_on_unix(text)}"
        for path in (ROOT / "hqmd_cli").rglob("*.py")
        for name, text in pieces(path)
        if only_on_unix(text) and not asked.search(text)
    ]
    assert found == []


@pytest.mark.slow
def test_predict_works_without_what_only_unix_has(tmp_path: Path, photo: Path) -> None:
    """As on Windows, as far as that can be had here: a folder, its records, locks, and a second run that skips."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(photo.read_bytes())
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path, "HQMD_HOME": str(tmp_path / "home")}
    words = ["predict", "in", "-o", "out", "--format", "color,npy,glb", "--model", "hqmd-indoor-small"]
    for more in ([], ["--skip-existing"]):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_UNIX, *words, *more], cwd=tmp_path, env=env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert {file.suffix for file in (tmp_path / "out").iterdir()} >= {".png", ".npy", ".glb", ".jsonl"}
