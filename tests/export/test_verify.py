"""The comparison of an export with torch, for networks of intervals, too."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.export import verify as module
from hqmd_cli.export.verify import LIMITS, Difference, verify

SIZES = [(100, 200), (64, 96)]


def plain(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return 1 + picture[..., 0].astype(np.float32) / 100


def jumping(pixels: int, metres: float = 0.4) -> Any:
    """An engine of which so many pixels of a picture are an interval off."""

    def engine(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        depth_m = plain(picture)
        depth_m.ravel()[:pixels] += metres
        return depth_m

    return engine


def compared(export: Any, monkeypatch: pytest.MonkeyPatch, intervals: bool) -> Difference:
    monkeypatch.setattr(module, "OnnxEngine", lambda path: export)
    return verify("model.onnx", plain, LIMITS["fp32"], SIZES, intervals)  # type: ignore[arg-type]


def test_a_pixel_between_two_intervals_is_told_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = compared(jumping(2), monkeypatch, intervals=True)
    assert (found.largest_mm, found.at_borders, found.pixels) == (0, 4, 26144)
    assert 0 < found.mean_mm < 0.2
    assert found.in_words.endswith(
        "0.0000 mm at most, besides 4 of 26144 pixels at a border between two depth intervals"
    )


def test_other_networks_and_more_pixels_have_no_such_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    for export, intervals in ((jumping(1), False), (jumping(100), True)):
        with pytest.raises(HqmdError, match=r"differs from torch by \d.* mm at most; the limits are 1 and 10"):
            compared(export, monkeypatch, intervals)
    with pytest.raises(HqmdError, match="differs from torch"):
        compared(jumping(1, np.nan), monkeypatch, intervals=True)


def test_without_a_jump_nothing_is_said_of_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    found = compared(jumping(1, 0.005), monkeypatch, intervals=True)
    assert found.at_borders == 0 and found.largest_mm == pytest.approx(5, rel=1e-3) and "border" not in found.in_words
