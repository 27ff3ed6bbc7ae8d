"""Runs from and to an S3 server on this machine: equal bytes, and nothing lost when the server or the token fails.

Needs moto and s3fs (`pip install "moto[server]" s3fs`, 300 MB), which are no requirement of the tests.
"""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pyarrow import parquet

from hqmd_cli.errors import HqmdError
from hqmd_cli.prediction.sources import LeftOut
from hqmd_cli.scale import places
from hqmd_cli.scale.shards import Part, find_shards
from shards import MODEL, QUICK, jpeg, write_tar

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
from werkzeug.serving import make_server  # noqa: E402

pytestmark = pytest.mark.slow
SECRET = "sEcReT"
POOL = """import multiprocessing, sys
from hqmd_cli.scale import places
if __name__ == "__main__":
    found = places.listed("s3://src")  # in this process first
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(*map(len, pool.map(places.read, [entry.address for entry in found])))
"""
EXPIRED = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


class Faults:
    """A WSGI application before moto's, which fails as it is told to."""

    def __init__(self):
        self.app = server.DomainDispatcherApplication(server.create_backend_app)
        self.cut = 0  # answers to GET that end at half
        self.busy = 0  # answers that say 503
        self.calls = self.expires = 0  # requests with the first key, and after how many it is refused
        self.before = lambda environ: None

    def __call__(self, environ, start_response):
        self.before(environ)
        if "/key1/" in environ.get("HTTP_AUTHORIZATION", "").replace("Credential=", "/") and self.expires:
            self.calls += 1
            if self.calls > self.expires:
                start_response("400 Bad Request", [("Content-Type", "application/xml")])
                return [EXPIRED.encode()]
        if self.busy:
            self.busy -= 1
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]
        body = b"".join(self.app(environ, start_response))
        if environ["REQUEST_METHOD"] == "GET" and self.cut and len(body) > 1000 and not body.startswith(b"<?xml"):
            self.cut -= 1
            return [body[: len(body) // 2]]  # which is less than its head says
        return [body]


@pytest.fixture(scope="module")
def faults():
    faults = Faults()
    running = make_server("127.0.0.1", 0, faults, threaded=True)
    faults.address = f"http://127.0.0.1:{running.server_port}"
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield faults
    running.shutdown()


@pytest.fixture
def s3(faults, tmp_path, monkeypatch):
    """An empty bucket `s3://src` with credentials in a file, an empty `s3://out`, and a connection to look at both."""
    import s3fs

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "quick", raising=False)
    Path("quick.py").write_text(MODEL)
    Path("keys").write_text(f"[default]\naws_access_key_id = key1\naws_secret_access_key = {SECRET}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", faults.address)
    monkeypatch.setattr(places, "WAIT_S", 0.01)
    monkeypatch.setattr(places, "connections", {})
    monkeypatch.setattr(places, "unsigned", set())
    monkeypatch.setattr(places, "answered", set())
    faults.cut = faults.busy = faults.calls = faults.expires = 0
    faults.before = lambda environ: None
    files = s3fs.S3FileSystem(
        key="admin", secret="x", endpoint_url=faults.address, skip_instance_cache=True, use_listings_cache=False
    )
    for bucket in ("src", "out"):
        if files.exists(bucket):
            files.rm(bucket, recursive=True)
        files.mkdir(bucket)
    return files


@pytest.fixture
def predict(hqmd):
    return lambda *arguments: hqmd("predict", *arguments, *QUICK)


def put_tars(s3, count, photos):
    for number in range(count):
        members = [(f"{number}/{name:04}.jpg", jpeg(photos * number + name)) for name in range(photos)]
        s3.put_file(str(write_tar(Path(f"src/{number:05}.tar"), members)), f"src/{number:05}.tar")


def hashes(s3, bucket):
    return {path.partition("/")[2]: hashlib.sha256(s3.cat_file(path)).hexdigest() for path in s3.find(bucket)}


def test_500_photos_in_5_tars_whole_and_in_parts_from_a_bucket_and_a_disk(s3, predict, hqmd):
    put_tars(s3, 5, 100)
    tars = [f"{number:05}.tar" for number in range(5)]
    whole = predict("s3://src/{00000..00004}.tar", "-o", "s3://out/whole")
    assert whole.returncode == 0 and "5 shards: 500 written, 0 failed" in whole.stderr, whole.stderr
    for index in range(3):
        part = predict("s3://src/*.tar", "-o", "s3://out/parts", "--shard", f"{index}/3")
        assert part.returncode == 0, part.stderr
    merged = hqmd("merge-manifests", "s3://out/parts")
    assert merged.returncode == 0 and "500 photos done" in merged.stderr
    assert predict("src/*.tar", "-o", "local").returncode == 0
    made = hashes(s3, "out")
    for name in tars:
        local = hashlib.sha256(Path("local", name).read_bytes()).hexdigest()
        assert made[f"whole/{name}"] == made[f"parts/{name}"] == local
    assert made["whole/manifest.parquet"] == made["parts/manifest.parquet"]
    everything = b"".join(s3.cat_file(path) for path in s3.find("out"))
    said = "".join(part.stdout + part.stderr for part in (whole, merged))
    assert SECRET.encode() not in everything and b"key1" not in everything and SECRET not in said


def test_lists_more_than_1000_keys_and_leaves_out_markers(s3, predict):
    photo = jpeg(1)
    s3.pipe({f"src/photos/{number}.jpg": photo for number in range(1005)})  # more than one page of a listing
    for marker in ("src/photos/", "src/photos/sub.jpg/", "src/photos/sub.jpg"):
        s3.call_s3("put_object", Bucket="src", Key=marker.removeprefix("src/"), Body=b"")
    s3.pipe_file("src/photos/sub.jpg/a.jpg", photo)
    s3.pipe_file("src/photos/._b.jpg", b"")
    left_out = LeftOut()
    shards = find_shards(["s3://src/photos/"], "s3://out", Part(), left_out)
    assert [len(shard.entries) for shard in shards] == [1000, 6]
    assert "sub.jpg/a.jpg" in {entry.name for shard in shards for entry in shard.entries}
    assert left_out.counts == {"hidden": 1}
    done = predict("s3://src/photos/{1,2,3,4,5,6,7,8,9}.jpg", "-o", "s3://out/few", "--limit", "5")
    assert done.returncode == 0 and "5 written, 0 failed" in done.stderr, done.stderr
    s3.pipe_file("src/photos/1.jpg", jpeg(2))
    again = predict("s3://src/photos/{1,2,3,4,5,6,7,8,9}.jpg", "-o", "s3://out/few", "--skip-existing")
    assert "5 written, 0 failed, 4 left as they are" in again.stderr


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_1005_photos_of_two_pages_are_done_once_each(s3, predict):
    photos = {f"src/photos/{number:04}.jpg": jpeg(number, (8, 8)) for number in range(1005)}
    s3.pipe(photos)
    done = predict("s3://src/photos/", "-o", "s3://out/all")
    assert done.returncode == 0 and "2 shards: 1005 written, 0 failed" in done.stderr, done.stderr
    s3.get_file("out/all/manifest.parquet", "manifest.parquet")
    rows = parquet.read_table("manifest.parquet").to_pylist()
    expected = [(path.removeprefix("src/photos/"), hashlib.sha256(photo).hexdigest()) for path, photo in photos.items()]
    assert sorted((row["photo"], row["photo_sha256"]) for row in rows) == expected
    made = {name: size for row in rows for name, size in zip(row["outputs"], row["sizes"], strict=True)}
    there = {entry.name: entry.size for entry in places.listed("s3://out/all") if entry.name[0] in "01"}
    assert made == there and len(made) == 2 * 1005


@pytest.mark.unix
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_a_parent_that_has_used_the_bucket_read_from_it(s3, method):
    s3.pipe({"src/a": b"1", "src/b": b"22", "src/c": b"333"})
    Path("pool.py").write_text(POOL)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "pool.py", method]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["1", "2", "3"], done.stderr


def test_short_bodies_busy_servers_and_replaced_objects(s3, predict, faults):
    put_tars(s3, 2, 3)
    s3.pipe_file("src/loose.jpg", jpeg(50, (200, 200)))
    faults.cut, faults.busy = 2, 6
    done = predict("s3://src/*", "-o", "s3://out")
    assert done.returncode == 0 and "7 written, 0 failed" in done.stderr and not faults.cut, done.stderr
    good = hashes(s3, "out")
    assert predict("src/*.tar", "-o", "local").returncode == 0
    assert good["00000.tar"] == hashlib.sha256(Path("local/00000.tar").read_bytes()).hexdigest()
    longer = write_tar(Path("longer.tar"), [("new.jpg", jpeg(70, (300, 300)))]).read_bytes()

    def replace(environ):
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"] == "/src/00001.tar":
            faults.before = lambda environ: None
            s3.pipe_file("src/00001.tar", longer)

    faults.before = replace
    done = predict("s3://src/*", "-o", "s3://out", "--overwrite")
    assert done.returncode == 1 and "1 shards failed" in done.stderr and "run again" in done.stderr
    assert hashes(s3, "out")["00001.tar"] == good["00001.tar"]  # of before
    done = predict("s3://src/*", "-o", "s3://out", "--skip-existing")
    assert done.returncode == 0 and "1 written, 0 failed, 4 left" in done.stderr, done.stderr


def test_an_exception_leaves_no_object_and_no_upload(s3, monkeypatch):
    import s3fs.core

    monkeypatch.setattr(s3fs.core, "calculate_chunksize", lambda *_, **__: 5 * 2**20)
    content = bytes(16 * 2**20)
    with pytest.raises(ZeroDivisionError), places.written("s3://out/half.tar") as file:
        file.write(content)
        _ = 1 / 0
    whole = s3fs.S3FileSystem._call_s3

    async def failing(self, method, *args, **kwargs):
        if method == "upload_part" and kwargs["PartNumber"] == 3:
            raise OSError("the third part fails")
        return await whole(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", failing)
    with pytest.raises(HqmdError, match="the third part fails"):
        places.write("s3://out/half.tar", content)
    assert not s3.exists("out/half.tar") and not s3.call_s3("list_multipart_uploads", Bucket="out").get("Uploads")
    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", whole)
    places.write("s3://out/half.tar", content)
    assert s3.info("out/half.tar")["size"] == len(content)


def test_a_listing_sees_what_others_wrote_since(s3):
    assert places.listed("s3://out") == []
    s3.pipe_file("out/a.tar", b"x")
    assert [entry.name for entry in places.listed("s3://out")] == ["a.tar"]


def test_an_expired_token_is_read_anew_or_named(s3, predict, faults):
    put_tars(s3, 4, 2)
    faults.expires = 20

    def renew(environ):
        if faults.calls >= 20:
            Path("keys").write_text(f"[default]\naws_access_key_id = key2\naws_secret_access_key = {SECRET}\n")

    faults.before = renew
    done = predict("s3://src/*.tar", "-o", "s3://out/renewed")
    assert done.returncode == 0 and faults.calls > 20, done.stderr
    Path("keys").write_text(f"[default]\naws_access_key_id = key1\naws_secret_access_key = {SECRET}\n")
    places.connections.clear()
    faults.calls, faults.before = 0, lambda environ: None
    done = predict("s3://src/*.tar", "-o", "s3://out/stale")
    said = [line for line in done.stderr.splitlines() if "expired" in line]
    assert done.returncode == 1 and said and all("--skip-existing" in line and "AWS_PROFILE" in line for line in said)
    faults.expires = 0
    assert predict("s3://src/*.tar", "-o", "s3://out/stale", "--skip-existing").returncode == 0
    made = hashes(s3, "out")
    assert all(made[f"renewed/{number:05}.tar"] == made[f"stale/{number:05}.tar"] for number in range(4))


def test_without_credentials_a_public_bucket_works_and_a_closed_one_says_how(s3, predict, faults, monkeypatch):
    put_tars(s3, 1, 1)
    s3.chmod("src", acl="public-read")
    s3.chmod("src/00000.tar", acl="public-read")
    Path("keys").unlink()
    began = time.monotonic()
    done = predict("s3://src/*.tar", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 5

    for place in ("src", "src/00000.tar"):
        s3.chmod(place, acl="private")
    places.unsigned.clear()
    places.connections.clear()
    began = time.monotonic()
    done = predict("s3://src/00000.tar", "-o", "more")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert time.monotonic() - began < 5
