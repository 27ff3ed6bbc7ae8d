"""Make3D, the row of Table 1: every superpixel is a plane, which its features expect and its neighbours agree with.

Saxena, Sun and Ng, "Make3D: Learning 3D Scene Structure from a Single Still Image", TPAMI 31 (2009). A point of a
superpixel has 524 features x: energies of 17 filters in the superpixels around it at three scales, place and shape, and
a constant. They expect its depth, ln d = x' theta_r, and the relative error of that, the logistic function of x' phi_r,
whose inverse is the confidence; r is a row of the picture. Whether two superpixels are one surface is a logistic
function of their 15 features and psi (superpixel_graph.py). plane_field.py has the field and its most likely planes.

Each factor is learned on its own, as their multi-conditional learning does, but by gradient descent: loss `planes`. The
weights of pairs at the mode are set by hand, as in their code.

We had no text of the paper: its equations are from memory, and checked against the authors' MATLAB code
(comeonyang/make3d@e79d288), which differs from the paper in places. Our choices where both are silent, or differ:

- Superpixels are OpenCV's watersheds around 16 places along the shorter side, not 2,000 regions by Felzenszwalb and
  Huttenlocher: no library here has those, and the mode takes time with the cube of the number.
- ln d is linear in x, as in their code (gen_predicted.m), so depth is positive; in the paper d is.
- theta and phi are interpolated between 11 rows, so a superpixel's points differ. x is normalised over the data.
- A neighbour's features are means over the pixels beyond the border on that side; at the rim of the photo, a
  superpixel's own features stand for those of the missing neighbour.
- The 10th and 90th percentiles of a shape are those of a Gaussian with its deviation.
- Occlusions and folds, which they labelled by hand, come from planes fitted to measured depth (random_fields.py).
- The camera is NYU's. Depth stays within a factor of 1.5 of the expected depths' range; theirs is bounded, too.
- Not here: their prior on vertical and ground planes, sky, several photos, object detections.

In training the depth map is that of the points, without the field.
"""

import math

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.activations import MEAN_DEPTH_M
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import resize
from hqmd_cli.models.table1.gaussian_field import NOT_IN_ONNX, double, node_means
from hqmd_cli.models.table1.plane_field import PlaneTerms, Points, depth_at_pixels, most_likely_planes, rays
from hqmd_cli.models.table1.superpixel_graph import KINDS, PAIR_FEATURES, pairs_of, watersheds
from hqmd_cli.models.table1.superpixels import borders
from hqmd_cli.models.table1.texture_features import FILTERS, resize_area, respond

ACROSS, MOST_ALONG = 16, 32  # superpixels along the shorter side, and at most along the longer one
REGION, POINT_STEP = 10, 5  # pixels: side of a superpixel, and distance of its points
SCALES = (1, 2, 4)  # sides of superpixels of the three oversegmentations, in REGIONs
ENERGIES = 2 * FILTERS
SHAPE = 13
FEATURES = ENERGIES * 5 * len(SCALES) + SHAPE  # with the constant, the paper's 524
ROWS = 11
PERCENTILE = 1.2816  # deviations from the mean to the 10th and 90th percentile of a Gaussian
LARGEST_DEVIATION = 5.0
EXPECTED_RANGE = (-4.0, 6.0)  # ln metres
LARGEST_LOGIT = 4.0  # of the expected error: 2 % to 98 %
CONSTANT_STRIDE = 10.0  # factor of the constants, so that one learning rate suits all
FIRST_THETA = 0.05
FIRST_ERROR_LOGIT = -1.0  # 27 %
WEIGHTS = (10.0, 5.0, 5.0)  # of pairs of each kind, against 1 / error of a point
MARGIN = 1.5  # of depth beyond the range of what is expected


class Make3dPlanes(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres."""

    paper = Paper(
        "Saxena et al. 2009",
        "https://doi.org/10.1109/TPAMI.2008.132",
        training={"loss": "planes", "lr": 3e-3, "epochs": 20},  # ours: they solve instead of descending
    )
    not_in_onnx = NOT_IN_ONNX

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        self.deviations = nn.BatchNorm1d(FEATURES, eps=1e-12, momentum=None, affine=False)
        self.theta = nn.Parameter(FIRST_THETA * torch.randn(ROWS, FEATURES))
        self.phi = nn.Parameter(torch.zeros(ROWS, FEATURES))
        first = torch.tensor([math.log(MEAN_DEPTH_M), FIRST_ERROR_LOGIT]) / CONSTANT_STRIDE
        self.constants = nn.Parameter(first.repeat(ROWS, 1))
        self.psi = nn.Parameter(torch.zeros(len(KINDS), PAIR_FEATURES + 1))

    def estimate(self, rgb: Tensor) -> Estimate:
        """Return the most likely planes' depth; in training that of the points. parts["planes"] is the field."""
        with torch.autocast(rgb.device.type, enabled=False):
            terms, size = self.terms(rgb.float())
            if self.training:
                log_depth = terms.points.log_depth.view(-1, 1, *size).float()
                return Estimate(resize(log_depth, rgb.shape[-2:]).exp().to(rgb.dtype), parts={"planes": terms})
            depth = depth_at_pixels(most_likely_planes(terms), terms, rgb, MARGIN)
            return Estimate(depth.to(rgb.dtype), parts={"planes": terms})

    def terms(self, rgb: Tensor) -> tuple[PlaneTerms, tuple[int, int]]:
        """Return the field, and the rows and columns of points."""
        sides = rgb.shape[-2:]
        rows, columns = (min(MOST_ALONG, round(ACROSS * side / min(sides))) * REGION for side in sides)
        with torch.no_grad():
            photo = resize_area(rgb, (rows, columns))
            ray = double(rays(rows, columns, rgb))
            response = respond(photo)
            levels = [watersheds(photo, REGION * scale) for scale in SCALES]
            nodes, count = levels[0]
            at = slice(POINT_STEP // 2, None, POINT_STEP)
            contexts = [at_points(context(response, *level), level[0][:, at, at]) for level in levels]
            own = at_points(shapes(nodes, count), nodes[:, at, at])
            features = torch.cat([*contexts, own], dim=1)  # (B, 523, P)
            means = node_means(response, nodes, count)[0].transpose(1, 2)
            pairs = pairs_of(photo, nodes, means, ray)
        size = (rows // POINT_STEP, columns // POINT_STEP)
        log_depth, error = self.expect(features, size)
        pixel = torch.arange(rows * columns, device=nodes.device).view(rows, columns)[at, at].flatten()
        points = Points(pixel, nodes[:, at, at].flatten(1), ray[at, at].flatten(0, 1), double(log_depth), double(error))
        psi = double(self.psi)[pairs.kind]
        logits = ((pairs.features - 0.5) * psi[:, 1:]).sum(dim=1) + psi[:, 0]
        weights = torch.tensor(WEIGHTS, dtype=ray.dtype, device=ray.device)[pairs.kind]
        return PlaneTerms(nodes, count, points, pairs, logits, weights), size

    def expect(self, features: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return ln metres and relative error of each point, (B, P): linear in its features by the weights of its row.

        Weights are interpolated between the middles of the rows.
        """
        x = self.deviations(features).clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION) / math.sqrt(FEATURES)
        down = (torch.arange(size[0], device=x.device) + 0.5) / size[0] * ROWS - 0.5
        share = (1 - (down.clamp(0, ROWS - 1)[:, None] - torch.arange(ROWS, device=x.device)).abs()).clamp(min=0)
        share = share.repeat_interleave(size[1], dim=0)  # (P, ROWS)
        parameters = (self.theta, self.phi)
        depth, error = (
            torch.einsum("bpr,pr->bp", torch.einsum("bfp,rf->bpr", x, weight) + CONSTANT_STRIDE * constant, share)
            for weight, constant in zip(parameters, self.constants.T, strict=True)
        )
        return depth.clamp(*EXPECTED_RANGE), (error.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)).sigmoid()

    @torch.no_grad()
    def rescale(self, factor: float, power: float = 1.0) -> None:
        """Rescale exactly by `factor` where nothing is clamped; `power` is ignored."""
        self.constants[:, 0] += math.log(factor) / CONSTANT_STRIDE


def at_points(values: Tensor, node: Tensor) -> Tensor:
    """(B, C, n), node (B, rows, columns) -> (B, C, P)."""
    return values.gather(2, node.flatten(1)[:, None].expand(-1, values.shape[1], -1))


def context(response: Tensor, nodes: Tensor, count: int) -> Tensor:
    """Return energies of each superpixel and its left, right, upper and lower neighbours, (B, 5 x 34, n)."""
    energies = node_means(torch.cat([response.square(), response.square().square()], dim=1), nodes, count)[0]
    beside = []
    for one, other in ((nodes[:, :, :-1], nodes[:, :, 1:]), (nodes[:, :-1], nodes[:, 1:])):
        for near, far in ((other, one), (one, other)):
            place = (near * count + far).flatten(1)
            meets = energies.new_zeros(len(nodes), count * count)
            meets = meets.scatter_add(1, place, (near != far).flatten(1).to(meets.dtype)).view(-1, count, count)
            meets = meets + torch.diag_embed((meets.sum(dim=2) == 0).to(meets.dtype))
            beside.append(energies @ (meets / meets.sum(dim=2, keepdim=True)).transpose(1, 2))
    return torch.cat([energies, *beside], dim=1)


def shapes(nodes: Tensor, count: int) -> Tensor:
    """Return the 13 features of place and shape of each superpixel, (B, 13, n)."""
    height, width = nodes.shape[1:]
    y, x = ((torch.arange(side, device=nodes.device) + 0.5) / side for side in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    places = torch.stack([x, y, x * x, y * y, x * y]).expand(len(nodes), -1, -1, -1)
    means, pixels = node_means(places, nodes, count)
    x, y, xx, yy, xy = means.unbind(dim=1)
    xx, yy, xy = xx - x * x, yy - y * y, xy - x * y
    spread = ((xx - yy).square() + 4 * xy.square()).clamp(min=1e-12).sqrt()
    axes = [((xx + yy + sign * spread) / 2).clamp(min=0).sqrt() for sign in (-1, 1)]
    half_x, half_y = (PERCENTILE * variance.clamp(min=0).sqrt() for variance in (xx, yy))
    neighbours = borders(nodes, count).sum(dim=2)
    return torch.stack(
        [
            pixels / (height * width),
            x,
            y,
            x * x,
            y * y,
            x - half_x,
            y - half_y,
            x + half_x,
            y + half_y,
            neighbours,
            *axes,
            torch.atan2(2 * xy, xx - yy) / 2,
        ],
        dim=1,
    )
