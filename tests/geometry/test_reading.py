"""A measured distance: how it is written, and what a depth map says of it."""

import numpy as np
import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.geometry.reading import Reading


@pytest.mark.parametrize("text", ["", "1,2", "1,2,x", "1,2,0", "1,2,-3", "1,2,inf", "1,2,nan", "1.5,2,3"])
def test_a_reading_that_is_none(text):
    with pytest.raises(HqmdError, match=r"^--scale-from "):
        Reading.parse(text, "--scale-from")


@pytest.mark.parametrize("place", ["-1,0,2", "0,80,2", "96,0,2"])
def test_a_reading_outside_the_photo(place):
    with pytest.raises(HqmdError, match="outside the photo"):
        Reading.parse(place, "here").predicted(np.ones((80, 96), np.float32), find_intrinsics(80, 96), "here")
