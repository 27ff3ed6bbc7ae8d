"""Locks between processes: they exclude, they tell who holds them, and a dead process holds none."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.files import locks
from hqmd_cli.files.locks import claim, is_claimed, short_lock

HOLD = "import sys, time\nfrom pathlib import Path\nfrom hqmd_cli.files.locks import {lock}\n"
HOLD += "with {lock}(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"


@pytest.fixture
def other_process():
    """`other_process("claim", path)` starts a process that holds a lock; it is killed at the end."""
    started = []

    def start(lock: str, path: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD.format(lock=lock), str(path)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("place", ["folder", "file.jsonl"])
def test_a_claim_tells_who_holds_it_until_that_process_is_dead(other_process, tmp_path, place):
    (tmp_path / "folder").mkdir()
    holder = other_process("claim", tmp_path / place)
    assert is_claimed(tmp_path / place)
    said = rf"{place}: in use by process {holder.pid} on .* since 2.*; wait for it"
    with pytest.raises(HqmdError, match=said), claim(tmp_path / place):
        pass
    holder.kill()
    holder.wait()
    assert not is_claimed(tmp_path / place)
    with claim(tmp_path / place), pytest.raises(HqmdError, match="in use"), claim(tmp_path / place):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]  # no lock is left


def test_a_short_lock_waits_and_gives_up_with_a_word(other_process, tmp_path, monkeypatch):
    path = tmp_path / "new" / "manifest.jsonl"
    holder = other_process("short_lock", path)
    monkeypatch.setattr(locks, "WAIT_S", 0.2)
    with pytest.raises(HqmdError, match=r"manifest\.jsonl: locked for more than"), short_lock(path):
        pass
    holder.kill()
    monkeypatch.setattr(locks, "WAIT_S", 20)
    began = time.monotonic()
    with short_lock(path):
        assert time.monotonic() - began < 15
    assert not list(path.parent.iterdir())
