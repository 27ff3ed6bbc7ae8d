"""What is decided about actors before Ray starts; tests/scale/test_ray.py runs them."""

import sys
import tempfile
from pathlib import Path

import pytest

from hqmd_cli import installed
from hqmd_cli.errors import HqmdError
from hqmd_cli.parallel import ray_actors
from hqmd_cli.parallel.ray_actors import LONGEST_BELOW, LONGEST_SOCKET, Actors, short_folder

NODES = [{"CPU": 3.0, "GPU": 1.0}, {"CPU": 2.0}]


def test_as_many_actors_as_fit_and_no_more():
    assert Actors().fitting(NODES) == 5
    assert Actors(cpus=2).fitting(NODES) == 2  # one on each node, and a core of the first stays free
    assert Actors(number=1).fitting(NODES) == 1
    assert Actors(gpus=0.5).fitting(NODES) == 2
    with pytest.raises(HqmdError, match=r"--actors 3: 2 fit, with --cpus-per-actor 2 on 5 CPUs; give --actors 2"):
        Actors(number=3, cpus=2).fitting(NODES)
    with pytest.raises(HqmdError, match="0 fit, with --cpus-per-actor 4 on 5 CPUs"):
        Actors(cpus=4).fitting(NODES)
    with pytest.raises(HqmdError, match="HOST:PORT"):
        Actors(address="ray://head:10001")


def test_sockets_lie_where_their_paths_are_short_enough(monkeypatch, tmp_path):
    long = tmp_path / ("x" * (90 - len(str(tmp_path)) - 1)) if len(str(tmp_path)) < 85 else tmp_path
    long.mkdir(exist_ok=True)
    said = []
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = Path(short_folder(said.append))
    try:
        assert folder.parent != long and len(str(folder)) + LONGEST_BELOW - len("/hqmd-12345678") <= LONGEST_SOCKET
        assert len(said) == 1 and "TMPDIR" in said[0]
    finally:
        folder.rmdir()
    monkeypatch.setattr(ray_actors.os, "access", lambda *_: False)
    with pytest.raises(HqmdError, match="set TMPDIR to a shorter one"):
        short_folder(said.append)


def test_options_of_ray_are_for_ray_which_only_they_import(hqmd, photo, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # to import it is an error
    done = hqmd("predict", photo, "-o", tmp_path / "out.tar", "--actors", 2)
    assert done.returncode == 1 and "--engine ray" in done.stderr
    done = hqmd("predict", photo, "-o", tmp_path / "out", "--engine", "dask")
    assert done.returncode == 1 and "local, ray" in done.stderr
    found = installed.find_spec
    for there, said in ((True, "leave out --pred"), (None, "--engine ray needs ray; pip install")):
        monkeypatch.setattr(installed, "find_spec", lambda name, there=there: there if name == "ray" else found(name))
        done = hqmd("evaluate", "--engine", "ray", "--pred", tmp_path)
        assert done.returncode == 1 and said in done.stderr
