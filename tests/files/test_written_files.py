"""Nothing is written over what is read, nor unasked over what exists."""

import os
from pathlib import Path

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.outputs import refuse_existing_outputs, refuse_over_input


def test_an_input_under_any_name(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"photo")
    (tmp_path / "link.jpg").symlink_to(photo)
    (tmp_path / "folder").symlink_to(tmp_path)
    os.link(photo, tmp_path / "hard.jpg")
    for output in ("a.jpg", "link.jpg", "hard.jpg", "folder/a.jpg", "x/../a.jpg"):
        with pytest.raises(HqmdError, match="would overwrite what this command reads"):
            refuse_over_input([None, tmp_path / output], [None, tmp_path / "other", photo])
    with pytest.raises(HqmdError, match="would overwrite"):  # a link that is read is not replaced, either
        refuse_over_input([tmp_path / "link.jpg"], [tmp_path / "link.jpg"])
    refuse_over_input([tmp_path / "b.jpg", tmp_path / "a.jpg.png"], [photo, tmp_path / "gone"])


def test_what_exists_is_replaced_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "a.csv").write_text("mine")
    for name in ("gone", "a.csv"):
        with pytest.raises(HqmdError, match=f"{name}: exists already; pass --overwrite"):
            refuse_existing_outputs([None, tmp_path / name], overwrite=False)
        refuse_existing_outputs([tmp_path / name], overwrite=True)
    refuse_existing_outputs([tmp_path / "new.csv"], overwrite=False)


def test_no_file_is_written_twice(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(tmp_path)
    for again in ("t.csv", "folder/t.csv", "x/../t.csv"):
        with pytest.raises(HqmdError, match="would be written twice"):
            refuse_existing_outputs([tmp_path / "t.csv", None, tmp_path / again], overwrite=True)
