"""Actors of Ray that read from and write to an S3 server on this machine, which fails on demand.

Needs Ray, moto and s3fs (`pip install ray "moto[server]" s3fs`), which are no requirements of the tests.
"""

import hashlib
import io
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ray")
from test_buckets import faults, hashes, put_tars, s3  # noqa: F401
from test_ray import RAY, finished, start

from conftest import scene
from shards import QUICK, jpeg, write_tar

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.unix, pytest.mark.timeout(3600)]


def predict(*arguments):
    return finished(start("predict", *arguments))


def photo(seed):
    file = io.BytesIO()
    Image.fromarray(scene(seed, (120, 160))[0]).save(file, "JPEG", quality=90)
    return file.getvalue()


def test_500_photos_of_5_tars_are_the_same_bytes_whole_in_parts_and_by_ray(s3, tmp_path):  # noqa: F811
    for number in range(5):
        members = [(f"{number}/{i:03}.jpg", photo(100 * number + i)) for i in range(100)]
        s3.put_file(str(write_tar(tmp_path / "x.tar", members)), f"src/{number:05}.tar")
    model = ("--model", "hqmd-indoor-small", "--size", "fast", "--format", "mm,npy")
    runs = {
        "local": [()],
        "parts": [("--shard", "0/2"), ("--shard", "1/2")],
        "ray": [RAY],
    }
    for name, calls in runs.items():
        began = time.monotonic()
        for more in calls:
            code, _, said = predict("s3://src/*.tar", "-o", f"s3://out/{name}", *model, *more)
            assert code == 0, said
        print(name, f"{time.monotonic() - began:.0f} s")
    finished(start("merge-manifests", "s3://out/parts"))
    made = hashes(s3, "out")
    files = [f"{number:05}.tar" for number in range(5)] + ["manifest.parquet", "errors.parquet"]
    for name in files:
        assert made[f"local/{name}"] == made[f"parts/{name}"] == made[f"ray/{name}"], name
    assert len({made[f"ray/{name}"] for name in files}) == 7


def test_a_busy_and_slow_server_a_short_tar_and_1005_keys_lose_nothing(s3, faults, tmp_path):  # noqa: F811
    put_tars(s3, 3, 4)
    whole = s3.cat_file("src/00002.tar")
    s3.pipe_file("src/00002.tar", whole[: len(whole) // 2])
    small = jpeg(1)
    for number in range(1005):
        s3.pipe_file(f"src/photos/{number:04}.jpg", small)
    local = predict("s3://src/*.tar", "s3://src/photos/*4.jpg", "-o", "s3://out/local", *QUICK)
    assert local[0] == 1 and "00002.tar: cut off or damaged" in local[2], local[2]
    calls = iter(range(10**9))

    def slow(environ):
        number = next(calls)
        time.sleep(0.5 if number % 50 == 0 else 0)
        if number % 100 == 10:
            faults.busy, faults.cut = 2, 1

    faults.before = slow
    by_ray = predict("s3://src/*.tar", "s3://src/photos/*4.jpg", "-o", "s3://out/ray", *QUICK, *RAY)
    faults.before = lambda environ: None
    assert by_ray[0] == 1 and by_ray[2].splitlines()[-1] == local[2].splitlines()[-1], by_ray[2]
    made = hashes(s3, "out")
    names = {name.partition("/")[2] for name in made if name.startswith("local/") and not name.endswith(".json")}
    assert len([name for name in names if name.endswith(".npy")]) == 101  # of both pages of the listing
    assert all(made[f"local/{name}"] == made[f"ray/{name}"] for name in names)
    hashed = hashlib.sha256(np.load(io.BytesIO(s3.cat_file("out/ray/0004.npy")))).hexdigest()
    assert hashed == hashlib.sha256(np.load(io.BytesIO(s3.cat_file("out/ray/1004.npy")))).hexdigest()
