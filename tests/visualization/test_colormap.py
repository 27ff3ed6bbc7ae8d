"""Depth maps as pictures."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.images import write_figure
from hqmd_cli.visualization import COLORMAPS
from hqmd_cli.visualization.colormap import (
    MATPLOTLIB_COLORMAP,
    NO_DEPTH_GREY,
    colorize,
    normals_to_rgb,
    outside_share,
    side_by_side,
    with_legend,
)
from hqmd_cli.visualization.comparison_grid import GridRow, comparison_grid
from hqmd_cli.visualization.error_map import error_colours

TO_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colormap", sorted(COLORMAPS.keys() - {"turbo"}))
def test_near_is_brighter_than_far(colormap: str) -> None:
    """All along the range, so that a print in grey still tells the order; no step may go the other way."""
    rgb = colorize(np.linspace(1, 5, 256)[None], 1, 5, colormap)
    assert rgb.shape == (1, 256, 3) and rgb.dtype == np.uint8
    luminance = rgb[0] @ TO_LUMINANCE
    assert (np.diff(luminance) <= 1).all()  # rounding of the colours to 8 bits
    assert luminance[0] > 190 and luminance[-1] < 40


def test_red_comes_first() -> None:
    """The middle of magma is a purple red; with the channels in OpenCV's order it would be blue."""
    red, green, blue = colorize(np.array([[2.0]]), 1, 3)[0, 0].astype(int)
    assert red > blue > green


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_the_same_colours_in_predict_and_compare(colormap: str) -> None:
    """OpenCV's tables and matplotlib's of the same name are one map."""
    import matplotlib

    depth_m = np.linspace(1, 5, 64)[None]
    theirs = matplotlib.colormaps[f"{colormap}_r"]((depth_m - 1) / 4)[..., :3] * 255
    assert np.abs(colorize(depth_m, 1, 5, colormap) - theirs).max() < 6
    assert MATPLOTLIB_COLORMAP == "magma_r"


def test_unknown_colormap_lists_the_others() -> None:
    with pytest.raises(HqmdError, match=r"no colormap named 'jet'; there are: magma, inferno, .*gray"):
        colorize(np.ones((2, 2)), 1, 2, "jet")


def test_the_range_is_the_caller_s() -> None:
    """What lies outside is shown as its end, and one range makes two pictures comparable."""
    rgb = colorize(np.array([[0.5, 1, 3, 9]]), 1, 3)[0]
    assert rgb[0].tolist() == rgb[1].tolist() and rgb[2].tolist() == rgb[3].tolist()
    assert rgb[0].tolist() != rgb[2].tolist()
    assert colorize(np.array([[2.0, 9]]), 1, 3)[0, 0].tolist() == colorize(np.array([[2.0, 3]]), 1, 3)[0, 0].tolist()


@pytest.mark.parametrize("none", [0, -1, np.nan, np.inf, -np.inf])
def test_no_depth_is_grey(none: float) -> None:
    with np.errstate(all="raise"):
        rgb = colorize(np.array([[1, none, 3]], np.float32), 1, 3)
    assert rgb[0, 1].tolist() == [NO_DEPTH_GREY] * 3
    assert rgb[0, 0].tolist() != [NO_DEPTH_GREY] * 3 != rgb[0, 2].tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_constant_map(dtype: type) -> None:
    """No range at all: one colour, and no division by zero."""
    flat = np.full((4, 6), 2, dtype)
    with np.errstate(all="raise"):
        rgb = colorize(flat, 2, 2)
    assert rgb.shape == (4, 6, 3) and len(np.unique(rgb.reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(("near_m", "far_m"), [(3, 1), (np.nan, 1), (1, np.nan)])
def test_a_range_that_is_none(near_m: float, far_m: float) -> None:
    with pytest.raises(HqmdError, match="near must be less than far"):
        colorize(np.ones((2, 2)), near_m, far_m)


def test_what_is_clipped_is_counted() -> None:
    """The ends themselves are inside; pixels without depth are grey, not clipped."""
    assert outside_share(np.array([[0.5, 1, 2, 3, 4, 5, 0, np.nan]]), 1, 4) == 2 / 8


# --- beside the map


def test_disparities_have_their_near_end_above():
    rgb = colorize(np.array([[1e-9, 2e-9, 3e-9, 5e-9, np.nan, 0, -1]]), 3e-9, 1e-9, kind="disparity")[0]
    depths = colorize(np.array([[3.0, 2, 1]]), 1, 3)[0]
    np.testing.assert_array_equal(rgb[:3], depths)
    np.testing.assert_array_equal(rgb[3:], [depths[2], [NO_DEPTH_GREY] * 3, depths[0], depths[0]])
    assert colorize(np.zeros((2, 2)), 0, 0, kind="disparity").tolist() == [[depths[2].tolist()] * 2] * 2
    with pytest.raises(HqmdError, match="near must be less than far"):
        colorize(np.ones((2, 2)), 1, 2, kind="disparity")


def test_side_by_side() -> None:
    image, picture = np.full((4, 6, 3), 1, np.uint8), np.full((4, 6, 3), 2, np.uint8)
    both = side_by_side(image, picture)
    assert both.shape == (4, 12, 3) and (both[:, :6] == 1).all() and (both[:, 6:] == 2).all()


@pytest.mark.parametrize("colormap", ["magma", "gray"])
def test_legend_has_the_map_s_colours(colormap: str) -> None:
    """From near on top to far at the bottom, in the order and all of the colours of the map."""
    depth_m = np.linspace(1, 5, 256)[:, None].repeat(40, axis=1)
    picture = colorize(depth_m, 1, 5, colormap)
    shown = with_legend(picture, 1, 5, colormap)
    np.testing.assert_array_equal(shown[:, :40], picture)
    assert shown.shape[0] == 256 and shown.shape[1] > 40
    columns = [x for x in range(40, shown.shape[1]) if np.array_equal(shown[:, x], picture[:, 0])]
    assert len(columns) > 8


def test_legend_says_near_and_far() -> None:
    """Another number is another picture of it, at its own end only."""
    picture = np.zeros((240, 320, 3), np.uint8)
    one, other = with_legend(picture, 1, 5), with_legend(picture, 1, 8.25)
    rows = np.flatnonzero((one != other).any(axis=(1, 2)))
    assert len(rows) and rows.min() > 200
    rows = np.flatnonzero((one != with_legend(picture, 0.5, 5)).any(axis=(1, 2)))
    assert len(rows) and rows.max() < 40
    assert (one[:, 320:] < 60).any(axis=2).sum() > 100  # text is dark on white, the bar has few dark pixels


@pytest.mark.parametrize("height", [1, 20, 480, 3000])
def test_legend_fits(height: int) -> None:
    """Pictures of any height; the numbers do not change the size, nor reach the edge."""
    picture = np.zeros((height, 50, 3), np.uint8)
    sizes = set()
    for near_m, far_m in ((0.01, 0.02), (1, 65.53), (12.34, 12345)):
        shown = with_legend(picture, near_m, far_m)
        sizes.add(shown.shape)
        assert (shown[:, -1] == 255).all()
        np.testing.assert_array_equal(shown[:height, :50], picture)
    assert len(sizes) == 1


def test_normal_colours() -> None:
    """OpenGL's: what faces the camera is light blue, a floor green, a wall on the left that faces right red."""
    facing = np.array([[[0, 0, -1], [0, -1, 0], [1, 0, 0], [np.nan] * 3]], np.float32)
    assert normals_to_rgb(facing)[0].tolist() == [
        [128, 128, 255],
        [128, 255, 128],
        [255, 128, 128],
        [NO_DEPTH_GREY] * 3,
    ]


def rows() -> list[GridRow]:
    """Two photos of different range, one of them with holes in its truth; the second model is far off."""
    image = np.full((24, 32, 3), 90, np.uint8)
    near = np.tile(np.linspace(1, 2, 32, dtype=np.float32), (24, 1))
    far = np.tile(np.linspace(3, 6, 32, dtype=np.float32), (24, 1))
    holed = near.copy()
    holed[:8] = 0
    return [GridRow("a", image, [holed, near, near * 9]), GridRow("b", image, [far, far, far * 9])]


def test_grid_has_one_range_for_all() -> None:
    """That of the ground truths: a model's own would hide that it is off."""
    figure = comparison_grid(rows(), ["ours", "theirs"], "two of two")
    cells = [axes for axes in figure.axes if axes.images]
    assert len(cells) == 2 * 4
    maps = [cell.images[0] for cell in cells if cell.images[0].get_array().ndim == 2]
    assert len(maps) == 2 * 3
    assert {(shown.norm.vmin, shown.norm.vmax) for shown in maps} == {(1, 6)}
    assert {shown.get_cmap().name for shown in maps} == {MATPLOTLIB_COLORMAP}


def test_grid_is_labelled() -> None:
    figure = comparison_grid(rows(), ["ours", "theirs"], "two of two")
    cells = [axes for axes in figure.axes if axes.images]
    assert [cell.get_title() for cell in cells[:4]] == ["photo", "ground truth", "ours", "theirs"]
    assert [cells[0].get_ylabel(), cells[4].get_ylabel()] == ["a", "b"]
    assert any(axes.get_ylabel() == "metres" for axes in figure.axes)
    assert figure.get_supxlabel() == "two of two"


def test_grid_leaves_holes_out() -> None:
    figure = comparison_grid(rows()[:1], ["ours", "theirs"], "")
    truth = [axes for axes in figure.axes if axes.images][1].images[0].get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(truth))[:8].all()
    assert not np.ma.getmaskarray(np.ma.masked_invalid(truth))[8:].any()


@pytest.mark.slow
@pytest.mark.parametrize("titles", [[], ["ours"], ["ours", "theirs"]])
def test_grid_as_a_file(tmp_path: Path, titles: list[str]) -> None:
    """Any number of models; without one it is photos and truths."""
    cut = [GridRow(row.name, row.image, row.depths_m[: len(titles) + 1]) for row in rows()]
    write_figure(tmp_path / "grid.png", comparison_grid(cut, titles, "caption"))
    picture = np.asarray(Image.open(tmp_path / "grid.png").convert("RGB"))
    assert picture.shape[1] > 250 * (len(titles) + 1)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100  # something was drawn


def test_grid_of_a_photo_without_any_depth() -> None:
    """A Kinect may have seen nothing; the others still give the range, and nothing at all is still no crash."""
    row = GridRow("blind", np.zeros((24, 32, 3), np.uint8), [np.zeros((24, 32)), np.full((24, 32), 2.0)])
    comparison_grid([row, GridRow("a", row.image, [np.full((24, 32), 3.0)] * 2)], ["ours"], "")
    comparison_grid([row], ["ours"], "")


@pytest.mark.slow
def test_the_grid_as_pdf_has_a_picture_a_cell_and_its_words_as_text(tmp_path):
    """Rows and columns of the paper's figure 2, on one page; what is written there can be searched for and copied."""
    from pypdf import PdfReader

    depth_m = np.linspace(1, 4, 48 * 64, dtype=np.float32).reshape(48, 64)
    rows = [GridRow(name, np.full((48, 64, 3), i * 90, np.uint8), [depth_m + i] * 3) for i, name in enumerate("ab")]
    write_figure(tmp_path / "grid.pdf", comparison_grid(rows, ["mine", "other"], "protocol hqmd: recipe"))
    (page,) = PdfReader(tmp_path / "grid.pdf").pages
    text = page.extract_text()
    assert all(word in text for word in ("photo", "ground truth", "mine", "other", "metres", "protocol hqmd"))
    assert len(page.images) >= 2 * 4  # and the bar


def test_the_colours_of_errors_are_matplotlibs() -> None:
    """They are computed here, so that a report needs no Matplotlib, and differ in the last bit of three values."""
    theirs = matplotlib.colormaps["RdBu_r"](np.arange(256), bytes=True)[:, :3]
    off = np.abs(error_colours().astype(int) - theirs)
    assert off.max() <= 1 and off.sum() <= 3
