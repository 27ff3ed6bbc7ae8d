"""Buckets by a file system in memory that fails as it is told to: what is tried again, and what is said."""

import socket

import pytest

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402

from hqmd_cli.errors import HqmdError  # noqa: E402
from hqmd_cli.files.web_address import without_secrets  # noqa: E402
from hqmd_cli.scale import places  # noqa: E402


class Unsteady(MemoryFileSystem):
    """Short bodies, refusals and faults, as many as `left` says."""

    store: dict = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    left: dict = {}  # noqa: RUF012

    def cat_file(self, path, start=None, end=None, **kwargs):
        content = super().cat_file(path, start=start, end=end)
        for fault, error in (("refused", PermissionError("expired")), ("broken", OSError("reset"))):
            if self.left.get(fault):
                self.left[fault] -= 1
                raise error
        if self.left.get("short"):
            self.left["short"] -= 1
            return content[: len(content) // 2]
        return content

    def find(self, path, **kwargs):
        if not self.exists(path):
            raise FileNotFoundError(path)  # as gcsfs does
        return [self._strip_protocol(path)] if self.isfile(path) else super().find(path, **kwargs)  # as adlfs does


@pytest.fixture
def bucket(monkeypatch):
    monkeypatch.setitem(places.PACKAGES, "memory", "fsspec")
    monkeypatch.setattr(places, "WAIT_S", 0)
    monkeypatch.setattr(places, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(places, "connections", {})
    monkeypatch.setattr(places, "answered", {"memory"})
    monkeypatch.setattr(fsspec, "filesystem", lambda scheme, **_: Unsteady(skip_instance_cache=True))
    Unsteady.store.clear()
    Unsteady.left = {}
    places.write("memory://box/a/photo.jpg", bytes(range(256)) * 20)
    return Unsteady.left


def test_short_bodies_and_faults_are_asked_for_again(bucket):
    whole = bytes(range(256)) * 20
    bucket.update(short=2, broken=1)
    assert places.read("memory://box/a/photo.jpg") == whole
    bucket.update(short=1, refused=1)
    with places.opened("memory://box/a/photo.jpg", len(whole)) as file:
        assert file.read(1500) + file.read() == whole
        file.seek(-3, 2)
        assert file.read() == whole[-3:]
    bucket.update(short=9)
    with pytest.raises(HqmdError, match=r"memory://box/a/photo.jpg: 2,560 of 5,120 bytes came"):
        places.read("memory://box/a/photo.jpg")
    bucket.update(short=0, refused=2)
    with pytest.raises(HqmdError, match=r"expired.*--skip-existing"):
        places.read("memory://box/a/photo.jpg")


def test_nothing_is_there_until_all_of_it_is(bucket):
    with pytest.raises(ZeroDivisionError), places.written("memory://box/b.tar") as file:
        file.write(b"half")
        _ = 1 / 0
    assert [(entry.name, entry.size) for entry in places.listed("memory://box")] == [("a/photo.jpg", 5120)]
    places.write("memory://box/c.tar", b"another process")
    assert [entry.name for entry in places.listed("memory://box")] == ["a/photo.jpg", "c.tar"]


def test_a_bucket_that_is_not_there_is_empty_and_a_file_lists_as_itself(bucket):
    assert places.listed("memory://nowhere") == []
    assert [(entry.name, entry.size) for entry in places.listed("memory://box/a/photo.jpg")] == [("photo.jpg", 5120)]


def test_a_failing_network_is_no_damaged_parquet_file(bucket, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from hqmd_cli.scale.samples import rows

    parquet.write_table(pyarrow.table({"image": [bytes(5000)] * 3}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    places.write("memory://box/a.parquet", content)
    with places.opened("memory://box/a.parquet", len(content)) as file:
        assert [len(sample.content) for sample in rows(file, "a")] == [5000] * 3
    bucket.update(broken=99)
    with places.opened("memory://box/a.parquet", len(content)) as file, pytest.raises(HqmdError, match="reset"):
        list(rows(file, "a"))


def test_folders_that_are_objects_are_no_files():
    empty, folder = {"type": "file", "size": 0}, {"type": "directory", "size": 0}
    photo = {"type": "file", "size": 5, "ETag": "x"}
    found = {"box/in/": empty, "box/in/a": empty, "box/in/a/b.jpg": photo, "box/in/hdi.jpg": folder}
    assert places.entries_of("az://box/in", found) == [places.Entry("az://box/in/a/b.jpg", "a/b.jpg", 5, "x")]


def test_without_a_network_or_an_account_one_line_comes_at_once(monkeypatch):
    def nowhere(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name in (*places.NOT_THERE, "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: pytest.fail("this would look for a login"))
    with pytest.raises(HqmdError, match=r"storage.googleapis.com cannot be found .*is there a network"):
        places.listed("gs://box")
    with pytest.raises(HqmdError, match="az://: no storage account is named; set AZURE_STORAGE_ACCOUNT_NAME"):
        places.listed("az://box")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "mine")
    with pytest.raises(HqmdError, match=r"mine.blob.core.windows.net cannot be found"):
        places.listed("az://box")
    assert places.host_of("az", {"abfs": {"connection_string": "elsewhere"}}) == ""


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://AKIA:s3cr3t@box/a", "s3://***@box/a"),
        ("https://h/a.jpg?X-Amz-Signature=s3cr3t&size=2", "https://h/a.jpg?X-Amz-Signature=***&size=2"),
        ("https://h/a.jpg?sv=1&sig=s3cr3t", "https://h/a.jpg?sv=1&sig=***"),
        ("https://h/a.jpg?size=2", "https://h/a.jpg?size=2"),
    ],
)
def test_secrets_in_addresses_are_hidden(address, shown):
    assert without_secrets(address) == shown
