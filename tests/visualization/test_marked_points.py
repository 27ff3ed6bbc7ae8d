"""Marks on photos: a text that another one would cover goes below it."""

import numpy as np

from hqmd_cli.visualization.marked_points import Mark, marked

GREY = np.full((300, 300, 3), 127, np.uint8)  # of a panel's height


def rows_written(*marks: Mark) -> set[int]:
    """Rows that a text or a ring is drawn in."""
    return set(np.flatnonzero((marked(GREY, marks) != GREY).any(axis=(1, 2))).tolist())


def test_texts_of_one_height_do_not_cover_each_other():
    one, beside = Mark(100, 100, "1.34 m, measured 1.20"), Mark(250, 100, "2.00 m, measured 2.10")
    both = rows_written(one, beside)
    assert max(both) >= max(rows_written(one)) + 15  # a line below
    assert rows_written(one, Mark(100, 250, "far below")) == rows_written(one) | rows_written(
        Mark(100, 250, "far below")
    )
    assert max(rows_written(Mark(100, 299, "1.34 m, measured 1.20"), Mark(250, 299, "2.00 m, measured 2.10"))) <= 299
