"""The field of Make3D over the planes of superpixels: its terms, its most likely planes, the planes of measured depth.

Saxena, Sun and Ng, "Make3D", TPAMI 2009, sections 3 and 4. A plane is its parameters a (3,): a point q lies on it if
a . q = 1. Along a ray R the depth is 1 / (a . R). With a superpixel's planes a_i and a_j, depth d expected by the
features, and rays R, the energy is a sum of absolute relative errors of depth

    own term of a point s of superpixel i     c_s |d_s (R_s . a_i) - 1|                  eq. 2; c is the confidence
    pair of superpixels i and j               y w |d (R . a_i - R . a_j)|               eqs. 3 and on

All three kinds of pairs have this form, and differ in their rays (superpixel_graph.py). y is how sure it is that no
border of an object or fold lies between the two.

The energy is convex, and its minimum a linear program. Here least squares, reweighted while |r| is smoothed to
sqrt(r^2 + e^2) with a falling e, gets within 0.5 % of the least energy (the authors' code smooths |r|, too, and takes
Newton's steps: SigmoidLogBarrierSolver.m). Rays have R_z = 1, so depths are along the optical axis; theirs have length
1, for distances. The parameters of a plane are the same.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hqmd_cli.geometry.camera import NYU_FX, NYU_LONGER_SIDE
from hqmd_cli.models.table1.gaussian_field import double, node_means

STEPS = 20
SMOOTHING = (0.3, 1e-4)  # e at the first step and at the last, as a share of depth
RIDGE = 1e-6  # weight of a plane that faces the camera, for superpixels that no term reaches
FEWEST_PIXELS = 8  # with measured depth, for a superpixel's true plane


@dataclass(frozen=True)
class Points:
    """Points of all superpixels of a batch, P a picture."""

    pixel: Tensor  # (P,), of the h x w of `nodes`
    node: Tensor  # (B, P): the superpixel of each, of its picture
    ray: Tensor  # (P, 3)
    log_depth: Tensor  # (B, P), expected, ln metres
    error: Tensor  # (B, P) in 0..1: expected relative error of that depth; the confidence c is its inverse


@dataclass(frozen=True)
class Pairs:
    """Pairs of superpixels; those of all pictures of a batch in one list, of length m."""

    picture: Tensor  # (m,)
    first: Tensor  # (m,): i, of its picture
    second: Tensor  # (m,): j
    ray: Tensor  # (m, 3)
    kind: Tensor  # (m,): an index of KINDS
    features: Tensor  # (m, F)


@dataclass(frozen=True)
class PlaneTerms:
    """A field, for each picture of a batch."""

    nodes: Tensor  # (B, h, w): the superpixel of each pixel
    count: int  # n, superpixels of a picture
    points: Points
    pairs: Pairs
    logits: Tensor  # (m,): y of each pair is their logistic function
    weights: Tensor  # (m,)


def rays(height: int, width: int, like: Tensor) -> Tensor:
    """Return the rays (height, width, 3) of a whole picture by NYU's camera, whatever its number of pixels.

    A photo like (..., H, W) tells the shape.
    """
    longer = max(like.shape[-2:])
    y, x = (
        ((torch.arange(side, device=like.device, dtype=torch.float64) + 0.5) / side - 0.5) * (pixels / longer)
        for side, pixels in zip((height, width), like.shape[-2:], strict=True)
    )
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x, y, torch.full_like(x, NYU_FX / NYU_LONGER_SIDE)], dim=-1) / (NYU_FX / NYU_LONGER_SIDE)


def expected_depth(terms: PlaneTerms) -> Tensor:
    """Return the depth d of each pair, (m,) metres, from the mean logarithm of each superpixel's points.

    A pair that sticks together at its border takes the geometric mean of both, any other the second one's.
    """
    points, pairs = terms.points, terms.pairs
    logs = by_node(points.log_depth, points.node, terms.count)
    first, second = (logs[pairs.picture, node] for node in (pairs.first, pairs.second))
    return torch.where(pairs.kind == 0, (first + second) / 2, second).exp()


def by_node(values: Tensor, node: Tensor, count: int) -> Tensor:
    """Average over the points of each superpixel, (B, P) -> (B, n); one without points has the picture's mean."""
    means, points = node_means(values[:, None, None], node[:, None], count)
    return torch.where(points > 0, means[:, 0], values.mean(dim=1, keepdim=True))


def plane_energy(planes: Tensor, terms: PlaneTerms) -> Tensor:
    """Return the energy of planes (B, n, 3), (B,)."""
    own, between = residuals(planes, terms)
    confidence, strength = strengths(terms)
    total = (confidence * own.abs()).sum(dim=1)
    return total.index_add(0, terms.pairs.picture, strength * between.abs())


def residuals(planes: Tensor, terms: PlaneTerms) -> tuple[Tensor, Tensor]:
    """Return d (R . a_i) - 1 of points, (B, P), and d R . (a_i - a_j) of pairs, (m,)."""
    points, pairs = terms.points, terms.pairs
    of_point = planes.gather(1, points.node[..., None].expand(-1, -1, 3))
    gap = planes[pairs.picture, pairs.first] - planes[pairs.picture, pairs.second]
    own = points.log_depth.exp() * (of_point * points.ray).sum(dim=-1) - 1
    return own, expected_depth(terms) * (gap * pairs.ray).sum(dim=-1)


def strengths(terms: PlaneTerms) -> tuple[Tensor, Tensor]:
    """Return c of each point, (B, P), and y w of each pair, (m,)."""
    return 1 / terms.points.error, terms.logits.sigmoid() * terms.weights


@torch.no_grad()
def most_likely_planes(terms: PlaneTerms, steps: int = STEPS) -> Tensor:
    """Return the planes of least energy, (B, n, 3) per metre."""
    points, pairs, count = terms.points, terms.pairs, terms.count
    confidence, strength = strengths(terms)
    own_row = points.log_depth.exp()[..., None] * points.ray  # (B, P, 3)
    pair_row = expected_depth(terms)[:, None] * pairs.ray  # (m, 3)
    facing = torch.zeros(len(points.node), count, 3, dtype=own_row.dtype, device=own_row.device)
    facing[..., 2] = (-by_node(points.log_depth, points.node, count)).exp()
    planes = facing
    first, last = SMOOTHING
    for step in range(steps):
        smoothing = first * (last / first) ** (step / (steps - 1))
        own, between = residuals(planes, terms)
        own_weight = confidence / (own.square() + smoothing**2).sqrt()
        pair_weight = strength / (between.square() + smoothing**2).sqrt()
        matrix, pull = normal_equations(terms, own_row, own_weight, pair_row, pair_weight)
        ridge = RIDGE / facing[..., 2:].square().expand(-1, -1, 3).flatten(1)
        matrix = matrix + torch.diag_embed(ridge)
        pull = pull + ridge * facing.flatten(1)
        planes = torch.cholesky_solve(pull[..., None], torch.linalg.cholesky(matrix)).view_as(facing)
    return planes


def normal_equations(
    terms: PlaneTerms, own_row: Tensor, own_weight: Tensor, pair_row: Tensor, pair_weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Return A'WA (B, 3n, 3n) and A'Wb (B, 3n) of all residuals A a - b."""
    points, pairs, n, batch = terms.points, terms.pairs, terms.count, len(terms.points.node)
    weighted = own_weight[..., None] * own_row
    pull = own_row.new_zeros(batch, n, 3)
    pull = pull.scatter_add(1, points.node[..., None].expand_as(weighted), weighted)
    blocks = pull.new_zeros(batch * n * n, 9)
    own_place = (torch.arange(batch, device=pull.device)[:, None] * n + points.node) * n + points.node
    blocks.index_add_(0, own_place.flatten(), (weighted[..., :, None] * own_row[..., None, :]).reshape(-1, 9))
    outer = (pair_weight[:, None, None] * pair_row[:, :, None] * pair_row[:, None, :]).view(-1, 9)
    for one, other, sign in (
        (pairs.first, pairs.first, 1),
        (pairs.second, pairs.second, 1),
        (pairs.first, pairs.second, -1),
        (pairs.second, pairs.first, -1),
    ):
        blocks.index_add_(0, (pairs.picture * n + one) * n + other, outer, alpha=sign)
    return blocks.view(batch, n, n, 3, 3).transpose(2, 3).reshape(batch, 3 * n, 3 * n), pull.flatten(1)


def true_planes(depth_m: Tensor, valid: Tensor, nodes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Fit a plane to the measured depth of each superpixel: (B, n, 3), and a mask of those with enough, (B, n).

    Least squares of the relative error z (R . a) - 1 over valid pixels; `depth_m` and `valid` are (B, 1, H, W), `nodes`
    (B, H, W).
    """
    depth = double(torch.where(valid, depth_m, 0))
    height, width = nodes.shape[1:]
    row = depth * rays(height, width, depth).to(depth).permute(2, 0, 1)  # (B, 3, H, W)
    outer = (row[:, :, None] * row[:, None, :]).flatten(1, 2)
    means, pixels = node_means(torch.cat([outer, row], dim=1), nodes, count, valid[:, 0])
    matrix = means[:, :9].transpose(1, 2).unflatten(2, (3, 3))
    known = pixels >= FEWEST_PIXELS
    scale = matrix.diagonal(dim1=2, dim2=3).sum(dim=2).clamp(min=1e-12)
    ridge = (RIDGE * scale)[..., None, None] * torch.eye(3, dtype=depth.dtype, device=depth.device)
    return torch.linalg.solve(matrix + ridge, means[:, 9:].transpose(1, 2)[..., None])[..., 0], known


def depth_at_pixels(planes: Tensor, terms: PlaneTerms, like: Tensor, margin: float) -> Tensor:
    """Return the depth (B, 1, H, W) of each pixel of a photo like (B, C, H, W), on the plane of its superpixel.

    It stays between the least expected depth of the picture over `margin` and the largest times `margin`.
    """
    height, width = like.shape[-2:]
    nodes = torch.nn.functional.interpolate(terms.nodes[:, None].double(), size=(height, width)).long()[:, 0]
    at_pixel = planes.gather(1, nodes.flatten(1)[..., None].expand(-1, -1, 3)).view(*nodes.shape, 3)
    inverse = (at_pixel * rays(height, width, like).to(planes)).sum(dim=-1)
    nearest, farthest = (terms.points.log_depth.amin(dim=1).exp(), terms.points.log_depth.amax(dim=1).exp())
    inverse = torch.clamp(inverse, (1 / (margin * farthest)).view(-1, 1, 1), (margin / nearest).view(-1, 1, 1))
    return (1 / inverse)[:, None]
