"""Names of files whose bytes are no UTF-8 end in escapes, in every file that train, evaluate and compare write."""

import os
from pathlib import Path

import pytest

RUN = ("--backbone", "test_efficientnet", "--backbone-weights", "none", "--size", "32x48", "--batch-size", 2)
RUN += ("--workers", 0, "--device", "cpu", "--max-steps", 1)


@pytest.fixture
def odd(pairs: Path) -> Path:
    """The pairs, with odd names of two pictures and of the folder."""
    for kind, suffix in (("rgb", b".jpg"), ("depth", b".png")):
        for name in (b"a1", b"b1"):
            folder = os.fsencode(pairs / kind)
            os.rename(os.path.join(folder, name + suffix), os.path.join(folder, b"\xfc" + name + suffix))
    (pairs / "train.txt").write_bytes(b"\xfca1\na2\na3\na4\n")
    (pairs / "val.txt").write_bytes(b"\xfcb1\nb2\n")
    return pairs.rename(pairs.with_name(os.fsdecode(b"p\xe4irs")))


@pytest.mark.slow
def test_train_resumes_and_writes_its_card(hqmd, odd: Path, tmp_path: Path) -> None:
    flags = ("train", "--data", odd, *RUN, "-o", tmp_path / "run")
    assert hqmd(*flags).returncode == 0
    assert r"p\udce4irs, train" in (tmp_path / "run" / "best" / "README.md").read_text()
    assert hqmd("train", "--resume", "-o", tmp_path / "run").returncode == 0


@pytest.mark.slow
def test_every_table_and_picture(hqmd, odd: Path, trained_run: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    flags = ("--data", odd, "--split", "val", "--no-detail")
    model = trained_run / "best"
    for name in ("each.csv", "each.parquet"):
        told = hqmd("evaluate", "--model", model, *flags, "--per-picture", tmp_path / name)
        assert told.returncode == 0, told.stderr
    assert pyarrow.read_table(tmp_path / "each.parquet")["picture"].to_pylist()[0] == r"\udcfcb1"
    assert r"\udcfcb1" in (tmp_path / "each.csv").read_text()
    told = hqmd("compare", model, *flags, "-o", tmp_path / "t.md", "--picture", tmp_path / "g.png")
    assert told.returncode == 0, told.stderr
    assert r"p\udce4irs" in (tmp_path / "t.md").read_text()
