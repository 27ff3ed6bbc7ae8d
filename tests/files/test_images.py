"""Pictures and figures are written in the format of their suffix."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.images import write_figure, write_image
from hqmd_cli.files.photos import read_image
from pictures import corners


@pytest.mark.parametrize("name", ["x.png", "x.PNG", "x.webp", "x.tiff"])
def test_picture_there_and_back(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, np.full((4, 4, 3), (250, 0, 0), np.uint8))
    np.testing.assert_allclose(read_image(tmp_path / name)[0, 0], (250, 0, 0), atol=8)


@pytest.mark.parametrize("name", ["x.xyz", "x", "x.psd"])  # Pillow knows .psd, but only to read it
def test_unknown_picture_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(HqmdError, match=rf"{name}: no picture format has this suffix"):
        write_image(tmp_path / name, corners())


@pytest.mark.parametrize(("name", "begins"), [("x.png", b"\x89PNG"), ("x.PDF", b"%PDF"), ("x.svg", b"<?xml")])
def test_figure_format(tmp_path: Path, name: str, begins: bytes) -> None:
    write_figure(tmp_path / name, Figure(figsize=(1, 1)))
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_unknown_figure_format(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"x\.docx: cannot be written with this suffix"):
        write_figure(tmp_path / "x.docx", Figure(figsize=(1, 1)))
