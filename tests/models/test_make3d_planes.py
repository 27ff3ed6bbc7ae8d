"""Make3D's field of planes: its energy term by term, its minimum by a linear program, and the graph of superpixels."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from skimage.segmentation import felzenszwalb
from torch import Tensor

from conftest import scene
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.losses import build_loss
from hqmd_cli.models import build_model
from hqmd_cli.models.base import Estimate
from hqmd_cli.models.table1.make3d_planes import FEATURES, Make3dPlanes, context, shapes
from hqmd_cli.models.table1.plane_field import (
    Pairs,
    PlaneTerms,
    Points,
    depth_at_pixels,
    most_likely_planes,
    plane_energy,
    rays,
    true_planes,
)
from hqmd_cli.models.table1.superpixel_graph import (
    KINDS,
    PAIR_FEATURES,
    along,
    border_points,
    graph,
    long_lines,
    merge,
    middles,
    watersheds,
)

CONNECTED, COPLANAR = KINDS.index("connected"), KINDS.index("coplanar")
SIZE, TILE = (16, 24), 8  # of a tiny picture, and of its superpixels: 2 x 3 of them


def tiles() -> Tensor:
    y, x = (torch.arange(side) // TILE for side in SIZE)
    return (y[:, None] * (SIZE[1] // TILE) + x)[None]


def field(depth_m: Tensor, seed: int = 0, logit: float | None = None) -> PlaneTerms:
    """The field of six superpixels whose points expect a depth (16, 24); random strengths, or pairs with one logit."""
    generator = torch.Generator().manual_seed(seed)
    nodes, ray = tiles(), rays(*SIZE, depth_m)
    pixel = torch.arange(SIZE[0] * SIZE[1]).view(SIZE)[2::4, 2::4].flatten()
    error = 0.1 + 0.5 * torch.rand(1, len(pixel), dtype=torch.float64, generator=generator)
    log_depth = depth_m.double().flatten()[pixel].log()[None]
    points = Points(pixel, nodes.flatten(1)[:, pixel], ray.flatten(0, 1)[pixel], log_depth, error)
    first, second, place, kind, _ = (
        torch.from_numpy(part) for part in graph(nodes[0].numpy(), np.zeros((*SIZE, 3), np.float32))
    )
    features = torch.zeros(len(first), PAIR_FEATURES, dtype=torch.float64)
    pairs = Pairs(torch.zeros_like(first), first, second, ray.flatten(0, 1)[place], kind, features)
    logits = 2 * torch.randn(len(first), dtype=torch.float64, generator=generator)
    if logit is not None:
        logits = torch.full_like(logits, logit)
    weights = 1 + 4 * torch.rand(len(first), dtype=torch.float64, generator=generator)
    return PlaneTerms(nodes, 6, points, pairs, logits, weights)


def rough(seed: int = 0) -> Tensor:
    return (1 + 0.3 * torch.randn(SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))).exp()


def slow_rows(terms: PlaneTerms) -> list[tuple[list[float], float, float]]:
    """Coefficients of all 18 parameters, right side and weight of each term, as the paper writes them, one by one."""
    points, pairs, rows = terms.points, terms.pairs, []
    depth = points.log_depth[0].exp()
    typical = [points.log_depth[0][points.node[0] == i].mean().exp().item() for i in range(terms.count)]
    for i, ray, d, error in zip(
        points.node[0].tolist(), points.ray.tolist(), depth.tolist(), points.error[0].tolist(), strict=True
    ):
        row = [0.0] * 18
        row[3 * i : 3 * i + 3] = [d * part for part in ray]
        rows.append((row, 1.0, 1 / error))
    for number, (i, j, ray) in enumerate(
        zip(pairs.first.tolist(), pairs.second.tolist(), pairs.ray.tolist(), strict=True)
    ):
        d = math.sqrt(typical[i] * typical[j]) if pairs.kind[number] == CONNECTED else typical[j]
        row = [0.0] * 18
        row[3 * i : 3 * i + 3] = [d * part for part in ray]
        row[3 * j : 3 * j + 3] = [-d * part for part in ray]
        rows.append((row, 0.0, terms.weights[number].item() / (1 + math.exp(-terms.logits[number].item()))))
    return rows


def linear_program(terms: PlaneTerms) -> float:
    """min sum w |A a - b| by HiGHS."""
    rows, right, weights = (np.array(part) for part in zip(*slow_rows(terms), strict=True))
    slack = np.eye(len(rows))
    answer = linprog(
        np.r_[np.zeros(18), weights, weights],
        A_eq=np.hstack([rows, -slack, slack]),
        b_eq=right,
        bounds=[(None, None)] * 18 + [(0, None)] * (2 * len(rows)),
        method="highs",
    )
    return float(answer.fun)


def test_the_energy_is_the_sum_of_the_papers_terms() -> None:
    terms = field(rough())
    planes = torch.rand(1, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    slow = sum(w * abs(float(np.dot(row, planes.flatten().numpy())) - b) for row, b, w in slow_rows(terms))
    assert plane_energy(planes, terms).item() == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_most_likely_planes_are_those_of_the_linear_program(seed: int) -> None:
    terms = field(rough(seed), seed)
    least = linear_program(terms)
    planes = most_likely_planes(terms, 200)
    assert least * (1 - 1e-9) <= plane_energy(planes, terms).item() < least * 1.0005
    assert plane_energy(most_likely_planes(terms), terms).item() < least * 1.005
    alone = most_likely_planes(replace(terms, weights=0 * terms.weights))
    assert plane_energy(alone, terms).item() > least * 1.1  # pairs matter


def slanted(plane: tuple[float, float, float]) -> Tensor:
    """The depth (16, 24) of a plane."""
    return 1 / (rays(*SIZE, torch.zeros(SIZE)) @ torch.tensor(plane, dtype=torch.float64))


def test_a_wall_is_found_exactly_whatever_the_weights() -> None:
    wall = (0.1, 0.05, 0.4)
    torch.testing.assert_close(
        most_likely_planes(field(slanted(wall))),
        torch.tensor(wall, dtype=torch.float64).expand(1, 6, 3),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize(("logit", "kept"), [(-20.0, True), (20.0, False)])
def test_a_step_is_kept_where_pairs_are_known_to_be_apart(logit: float, kept: bool) -> None:
    """The two left superpixels are at 2 m, the others at 3 m; sticking together, they all go to 3 m."""
    depth_m = torch.full(SIZE, 3.0, dtype=torch.float64)
    depth_m[:, :TILE] = 2
    terms = field(depth_m, logit=logit)
    found = depth_at_pixels(most_likely_planes(terms), terms, torch.zeros(1, 3, *SIZE), 1.5)[0, 0]
    assert (found[8, 3].item() == pytest.approx(2, rel=0.01)) is kept
    assert found[8, 20].item() == pytest.approx(3, rel=0.05)


def test_planes_of_measured_depth() -> None:
    wall = (0.1, -0.05, 0.3)
    depth_m = slanted(wall)[None, None]
    valid = torch.ones_like(depth_m, dtype=torch.bool)
    valid[..., ::2, :] = False
    valid[..., TILE:, :TILE] = False  # nothing is known of superpixel 3
    planes, known = true_planes(depth_m.masked_fill(~valid, math.nan), valid, tiles(), 6)
    assert known[0].tolist() == [True, True, True, False, True, True]
    torch.testing.assert_close(
        planes[known], torch.tensor(wall, dtype=torch.float64).expand(5, 3), rtol=1e-3, atol=1e-4
    )


def test_the_loss_by_hand() -> None:
    """A wall that is expected 10 % too far, with a step in the truth that only some pairs cross."""
    truth = torch.full((1, 1, *SIZE), 3.0)
    truth[..., :TILE] = 2
    terms = field(1.1 * truth[0, 0], logit=0.5)
    error = terms.points.error
    own = (math.log(1.1) / error + (2 * error).log()).mean().item()
    left = [node % 3 == 0 for node in range(6)]
    same = [left[i] == left[j] for i, j in zip(terms.pairs.first.tolist(), terms.pairs.second.tolist(), strict=True)]
    assert 0 < sum(same) < len(same)
    pair = sum(math.log(1 + math.exp(-0.5 if agree else 0.5)) for agree in same) / len(same)
    loss = build_loss("planes")(Estimate(truth, parts={"planes": terms}), truth, truth > 0)
    assert loss.item() == pytest.approx(own + pair, abs=1e-5)


# ---- the graph ----


def test_regions_are_those_of_scikit_image() -> None:
    """Where every pixel is a node, joined to its eight neighbours."""
    image = np.random.default_rng(0).random((12, 15, 3))
    number = np.arange(12 * 15).reshape(12, 15)
    steps = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
    steps += [(number[:-1, :-1], number[1:, 1:]), (number[:-1, 1:], number[1:, :-1])]
    edges = np.concatenate([np.stack([a.ravel(), b.ravel()]) for a, b in steps], axis=1)
    found = merge(image.reshape(-1, 3), edges, 2.0)
    # scikit-image divides its scale by 255 and smooths first unless sigma is 0.
    expected = felzenszwalb(image, scale=2.0 * 255, sigma=0, min_size=1).ravel()
    assert 1 < len(np.unique(found)) < 100
    np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)


def test_superpixels_are_whole_and_follow_edges() -> None:
    rgb = torch.zeros(2, 3, 40, 60)
    rgb[0, :, :, 23:] = 0.8
    rgb[1] = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    nodes, count = watersheds(rgb, 10)
    assert (nodes.shape, count) == ((2, 40, 60), 24)
    assert all(len(picture.unique()) == count for picture in nodes)
    assert not set(nodes[0, :, :22].unique().tolist()) & set(nodes[0, :, 24:].unique().tolist())


def test_places_of_pairs_by_hand() -> None:
    node = tiles()[0].numpy()
    i, j, at = border_points(node)
    ends = {tuple(int(part) for part in np.divmod(pixel, SIZE[1])) for pixel in at[(i == 0) & (j == 1)]}
    assert ends == {(0, 7), (7, 7)}  # the border's two ends
    assert len(i) == 2 * 7  # of seven pairs of neighbours
    assert divmod(int(middles(node)[4]), SIZE[1]) == (12, 12)


def test_a_line_joins_the_superpixels_beside_it() -> None:
    photo = np.zeros((*SIZE, 3), np.float32)
    photo[8:] = 1
    lines = long_lines(photo)
    assert len(lines) >= 1
    assert max(math.hypot(x - u, y - v) for x, y, u, v in lines) > 15
    rows = along(tiles()[0].numpy(), np.array([1.0, 8, 22, 8]))
    assert {(int(i), int(j)) for i, j, *_ in rows} == {(0, 1), (1, 0), (1, 2), (2, 1), (3, 4), (4, 3), (4, 5), (5, 4)}
    assert {(*divmod(int(at), SIZE[1]), length) for i, j, at, length in rows if (i, j) == (0, 1)} == {(6, 15, 21.0)}


# ---- features, and the system ----


def test_features_of_superpixels() -> None:
    response = torch.zeros(1, 17, *SIZE)
    response[0, 3] = 0.5 + tiles()[0] / 10
    around = context(response, tiles(), 6).view(1, 5, 34, 6)[0, :, 3]
    expected = [[0, 0, 1, 3, 3, 4], [1, 2, 2, 4, 5, 5], [0, 1, 2, 0, 1, 2], [3, 4, 5, 3, 4, 5]]
    for found, numbers in zip(around, [list(range(6)), *expected], strict=True):
        assert found.tolist() == pytest.approx([(0.5 + number / 10) ** 2 for number in numbers], abs=1e-6)
    shape = shapes(tiles(), 6)[0, :, 1]
    assert len(shape) == 13
    assert shape[:5].tolist() == pytest.approx([1 / 6, 1 / 2, 1 / 4, 1 / 4, 1 / 16])
    assert shape[9].item() == 3  # neighbours
    assert FEATURES + 1 == 524  # with the constant, as many as theirs


def system() -> Make3dPlanes:
    """Not as it starts: with expectations that differ from row to row."""
    torch.manual_seed(0)
    network = build_model(ModelConfig().with_settings(system="make3d-planes"))
    with torch.no_grad():
        network.theta += 0.5 * torch.randn(network.theta.shape)
        network.constants += 0.02 * torch.randn(network.constants.shape)
    return network.eval()  # type: ignore[return-value]


@pytest.mark.slow
def test_rescaling_is_exact() -> None:
    rgb = torch.from_numpy(scene(0, (64, 96))[0]).permute(2, 0, 1).float()[None] / 255
    network = system()
    with torch.no_grad():
        before = network(rgb)
        network.rescale(1.7)
        torch.testing.assert_close(network(rgb), 1.7 * before, rtol=1e-4, atol=0)
    assert before.max() > 1.1 * before.min()
