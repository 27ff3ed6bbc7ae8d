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
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({"cpu.max": "nonsense"}, math.inf),
        ({}, math.inf),
        # Of a service (CPUQuota= of systemd), and of the slice that it is in.
        ({"system.slice/hqmd.service/cpu.max": "100000 100000\n"}, 1),
        ({"system.slice/cpu.max": "200000 100000\n", "system.slice/hqmd.service/cpu.max": "max 100000\n"}, 2),
        ({"system.slice/other.service/cpu.max": "100000 100000\n"}, math.inf),
        ({"cpu/docker/cpu.cfs_quota_us": "50000\n", "cpu/docker/cpu.cfs_period_us": "100000\n"}, 0.5),
    ],
)
def test_the_limit_of_a_container_or_service(monkeypatch, tmp_path, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "own").write_text("12:cpu,cpuacct:/docker\n3:memory:/x\n0::/system.slice/hqmd.service\n", "utf-8")
    monkeypatch.setattr(processes, "CGROUPS", tmp_path)
    monkeypatch.setattr(processes, "OWN_CGROUPS", tmp_path / "own")
    assert processes.container_cores() == cores
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert usable_cores() == min(8, math.ceil(min(8, cores))) and fewer_cores() == usable_cores()


def test_a_group_outside_what_this_process_sees_is_left_out(monkeypatch, tmp_path):
    (tmp_path / "own").write_text("0::/../elsewhere\n", "utf-8")
    monkeypatch.setattr(processes, "CGROUPS", tmp_path / "here")
    monkeypatch.setattr(processes, "OWN_CGROUPS", tmp_path / "own")
    assert processes.own_cgroups() == {tmp_path / "here", tmp_path / "here" / "cpu"}
