"""Which process of how many this is, and how many cores it may use."""

import math
import os

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.parallel import processes
from hqmd_cli.parallel.processes import Ranks, fewer_cores, usable_cores


@pytest.fixture(autouse=True)
def _without_ranks(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def test_ranks(monkeypatch):
    assert Ranks.from_environment() == Ranks(0, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert Ranks.from_environment() == Ranks(0, 1)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "2")
    assert Ranks.from_environment() == Ranks(2, 3)


LEFT_OVER = [
    "RANK=5",
    "RANK=0",
    "LOCAL_RANK=1",
    "WORLD_SIZE=4",
    "RANK=-1 WORLD_SIZE=2",
    "RANK=2 WORLD_SIZE=2",
    "RANK=x WORLD_SIZE=2",
]
LEFT_OVER += ["RANK=0 WORLD_SIZE=0", "RANK=1 WORLD_SIZE=\x1b"]


@pytest.mark.parametrize("left_over", LEFT_OVER)
def test_what_another_program_left_in_the_environment_is_refused(monkeypatch, left_over):
    for setting in left_over.split():
        monkeypatch.setenv(*setting.split("="))
    with pytest.raises(HqmdError, match=r"the environment says .*; unset RANK, LOCAL_RANK and WORLD_SIZE") as error:
        Ranks.from_environment()
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu.cfs_quota_us": "200000\n", "cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, math.inf),
        ({"cpu.max": "nonsense"}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_limit_of_a_container(monkeypatch, tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(processes, "CGROUP_QUOTAS", (tmp_path / "cpu.max", tmp_path / "cpu.cfs_quota_us"))
    monkeypatch.setattr(processes, "CGROUP_PERIOD", tmp_path / "cpu.cfs_period_us")
    assert processes.container_cores() == cores
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert usable_cores() == min(8, math.ceil(min(8, cores))) and fewer_cores() == usable_cores()
