"""Tars of photos and a quick model, for tests of runs over shards."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

MODEL = """import numpy as np
def predict(rgb):
    h, w = rgb.shape[:2]
    return np.linspace(1, 2, h * w, dtype=np.float32).reshape(h, w) + rgb.mean() / 255
"""
QUICK = ("--model", "py:quick:predict", "--model-kind", "depth", "--format", "mm,npy")


def jpeg(seed: int, size: tuple[int, int] = (30, 40), form: str = "JPEG") -> bytes:
    """A small photo of its own, as the bytes of a file."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    """Write a tar of these files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            head = tarfile.TarInfo(name)
            head.size = len(content)
            archive.addfile(head, io.BytesIO(content))
    return path


def read_tar(path: Path) -> dict[str, bytes]:
    """Map the names of a tar's members to their bytes, in order."""
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
