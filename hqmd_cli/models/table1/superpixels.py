"""SLIC superpixels and the similarities of neighbours: the graph of Liu et al.'s field (dcnf.py).

Achanta et al., "SLIC Superpixels", TPAMI 2012, in the VLFeat variant that they use: k-means of colour and place, in
which a pixel chooses among the 2 x 2 centres of the grid around it. It is written in torch, for a whole batch on the
network's device; a library such as scikit-image would take each picture to the CPU and back. Two things differ: ten
steps instead of up to a hundred, and small islands keep their superpixel, where VLFeat gives them to a neighbour. So
all pictures of one size have equally many superpixels. A centre that no pixel chooses leaves an empty superpixel.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.models.table1.gaussian_field import node_means

REGULARIZER = 0.1  # weight of place against colour in 0..1; gen_supperpixel_info.m
SLIC_STEPS = 10
# gen_feature_info_pairwise.m: exp(-gamma ||f_p - f_q|| / sqrt(dimensions of f))
TEXTURE_GAMMA, HISTOGRAM_GAMMA, COLOUR_GAMMA = 50.0, 25.0, 0.1
HISTOGRAM_BINS = 11  # per channel; color_hist.m
BOX = 8  # pixels; side of the square at a superpixel's middle that gives its texture
LBP_BINS = 58  # 8 x 7 uniform patterns, flat ones, and all others; VLFeat's lbp.c
COMPASS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # bits 0..7: east, then clockwise
GREY = (0.2989, 0.587, 0.114)  # MATLAB's rgb2gray
TO_XYZ = (  # from CIE RGB, whose white is X = Y = Z; vl_rgb2xyz.m
    (0.488718, 0.310680, 0.200602),
    (0.176204, 0.812985, 0.0108109),
    (0.000000, 0.0102048, 0.989795),
)
GAMMA = 2.2


def slic(rgb: Tensor, region: int) -> tuple[Tensor, int]:
    """Segment (B, 3, H, W) in 0..1 into superpixels of about `region` pixels a side.

    Return the superpixel of each pixel, (B, H, W), and n = ceil(H / region) * ceil(W / region), which counts empty
    superpixels, too.
    """
    batch, _, height, width = rgb.shape
    count = math.ceil(height / region) * math.ceil(width / region)
    pixels = add_places(rgb, math.sqrt(REGULARIZER) / region)  # (B, 5, H, W)
    choices, exists = grid_choices(height, width, region, rgb.device)
    starts = start_pixels(rgb, region)[:, None].expand(-1, pixels.shape[1], -1)
    centres = pixels.flatten(2).gather(2, starts)  # (B, 5, n)
    nodes = nearest(pixels, centres, choices, exists)
    for _ in range(SLIC_STEPS - 1):
        means, counts = node_means(pixels, nodes, count)
        centres = torch.where(counts[:, None] > 0, means, centres)
        nodes = nearest(pixels, centres, choices, exists)
    return nodes.view(batch, height, width), count


def add_places(rgb: Tensor, scale: float) -> Tensor:
    """Append each pixel's row and column, times `scale`, to its colour: (B, 3, H, W) -> (B, 5, H, W)."""
    batch, _, height, width = rgb.shape
    down, across = torch.meshgrid(
        *(scale * torch.arange(side, device=rgb.device, dtype=rgb.dtype) for side in (height, width)), indexing="ij"
    )
    return torch.cat([rgb, torch.stack([down, across]).expand(batch, -1, -1, -1)], dim=1)


def grid_choices(height: int, width: int, region: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the 2 x 2 superpixels around each pixel, (4, H * W), and a mask of those inside the grid."""
    sides = []
    for length in (height, width):
        before = torch.floor(torch.arange(length, device=device) / region - 0.5).long()
        sides.append((before, before + 1, math.ceil(length / region)))
    (*rows, row_count), (*columns, column_count) = sides
    choices, exists = [], []
    for row in rows:
        for column in columns:
            inside = ((row >= 0) & (row < row_count))[:, None] & ((column >= 0) & (column < column_count))
            choices.append(torch.where(inside, row[:, None] * column_count + column, 0).flatten())
            exists.append(inside.flatten())
    return torch.stack(choices), torch.stack(exists)


def start_pixels(rgb: Tensor, region: int) -> Tensor:
    """Return the pixels where centres start, (B, n): tile centres, moved by up to a pixel to the weakest edge."""
    height, width = rgb.shape[-2:]
    edges = F.pad(
        (rgb[..., 1:-1, 2:] - rgb[..., 1:-1, :-2]).square().sum(dim=1)
        + (rgb[..., 2:, 1:-1] - rgb[..., :-2, 1:-1]).square().sum(dim=1),
        (1, 1, 1, 1),
    ).flatten(1)
    down, across = (
        torch.round((torch.arange(math.ceil(side / region), device=rgb.device) + 0.5) * region)
        .clamp(max=side - 1)
        .long()
        for side in (height, width)
    )
    near = [
        ((down + dy).clamp(0, height - 1)[:, None] * width + (across + dx).clamp(0, width - 1)).flatten()
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    around = torch.stack(near)  # (9, n)
    weakest = edges[:, around].argmin(dim=1)  # (B, n)
    return around.expand(len(rgb), -1, -1).gather(1, weakest[:, None])[:, 0]


def nearest(pixels: Tensor, centres: Tensor, choices: Tensor, exists: Tensor) -> Tensor:
    """Return the nearest of each pixel's choices: pixels (B, 5, H, W), centres (B, 5, n) -> (B, H * W)."""
    flat = pixels.flatten(2)
    far = [
        (flat - centres[:, :, choice]).square().sum(dim=1).masked_fill(~inside, torch.inf)
        for choice, inside in zip(choices, exists, strict=True)
    ]
    best = torch.stack(far).argmin(dim=0)  # (B, H * W)
    return choices.gather(0, best)


def similarities(rgb: Tensor, nodes: Tensor, count: int) -> Tensor:
    """Compare neighbouring superpixels by texture, colour histogram and colour: (B, 3, n, n).

    0..1 for superpixels that share a border; 0 for all others and on the diagonal.
    """
    features = (textures(rgb, nodes, count), histograms(rgb, nodes, count), node_means(luv(rgb), nodes, count)[0])
    gammas = (TEXTURE_GAMMA, HISTOGRAM_GAMMA, COLOUR_GAMMA)
    similarity = [
        torch.exp(-gamma / math.sqrt(feature.shape[1]) * distances(feature.transpose(1, 2)))
        for feature, gamma in zip(features, gammas, strict=True)
    ]
    return torch.stack(similarity, dim=1) * borders(nodes, count)[:, None]


def distances(points: Tensor) -> Tensor:
    """Return Euclidean distances: (B, n, dimensions) -> (B, n, n)."""
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def borders(nodes: Tensor, count: int) -> Tensor:
    """Mark superpixels that have pixels side by side: nodes (B, H, W) -> (B, n, n), 1.0 or 0.0."""
    batch = len(nodes)
    meet = torch.zeros(batch, count * count, device=nodes.device)
    for one, other in ((nodes[:, 1:], nodes[:, :-1]), (nodes[:, :, 1:], nodes[:, :, :-1])):
        meet.scatter_(1, (one * count + other).flatten(1), 1.0)
    meet = meet.view(batch, count, count)
    return torch.maximum(meet, meet.transpose(1, 2)) * (1 - torch.eye(count, device=nodes.device))


def luv(rgb: Tensor) -> Tensor:
    """Convert CIE RGB in 0..1 to CIE L u v, (B, 3, H, W). L is in 0..100; black is 0, 0, 0."""
    x, y, z = (torch.tensor(TO_XYZ, device=rgb.device, dtype=rgb.dtype) @ rgb.flatten(2).pow(GAMMA)).unbind(dim=1)
    total = (x + 15 * y + 3 * z).clamp(min=1e-12)
    light = torch.where(y > 0.008856, 116 * y.clamp(min=1e-12).pow(1 / 3) - 16, 903.3 * y)
    result = torch.stack([light, 13 * light * (4 * x / total - 4 / 19), 13 * light * (9 * y / total - 9 / 19)], dim=1)
    return result.view_as(rgb)


def histograms(rgb: Tensor, nodes: Tensor, count: int) -> Tensor:
    """Return the shares of a superpixel's pixels in 11 equal bins of 0..255, channel by channel: (B, 33, n)."""
    levels = torch.round(rgb * 255)
    bins = ((levels + 0.5) * (HISTOGRAM_BINS / 256)).long()
    shares = [node_means((bins == level).to(rgb.dtype), nodes, count)[0] for level in range(HISTOGRAM_BINS)]
    return torch.stack(shares, dim=2).flatten(1, 2)


def textures(rgb: Tensor, nodes: Tensor, count: int) -> Tensor:
    """Count local binary patterns in a box at the middle of each superpixel, as VLFeat's vl_lbp does: (B, 58, n).

    Pixels weigh less away from the middle. The result is the root of the histogram, of length 1. Outside the photo
    everything is black.
    """
    patterns = uniform_patterns(rgb)  # (B, H + 2 BOX - 2, W + 2 BOX - 2)
    top, left = box_corners(nodes, count)
    inner = torch.arange(BOX - 2, device=rgb.device)  # the outermost pixels of a box have no neighbours in it
    rows, columns = top[..., None, None] + inner[:, None], left[..., None, None] + inner
    places = (rows * patterns.shape[-1] + columns).flatten(1)  # (B, n * 36)
    found = patterns.flatten(1).gather(1, places).view(len(rgb), count, -1)
    towards = 1 - ((inner + 1.5) / BOX - 0.5).abs()
    weight = (towards[:, None] * towards).flatten().to(rgb.dtype).expand(len(rgb), count, -1)
    histogram = rgb.new_zeros(len(rgb), count, LBP_BINS).scatter_add(2, found, weight)
    return (histogram / histogram.sum(dim=2, keepdim=True)).sqrt().transpose(1, 2)


def uniform_patterns(rgb: Tensor) -> Tensor:
    """Number the pattern of each pixel's eight neighbours, 0..57: (B, H + 2 BOX - 2, W + 2 BOX - 2)."""
    grey = (torch.tensor(GREY, device=rgb.device, dtype=rgb.dtype).view(3, 1, 1) * rgb).sum(dim=1)
    padded = F.pad(grey, (BOX, BOX, BOX, BOX))
    height, width = (side - 2 for side in padded.shape[-2:])
    middle, code = padded[:, 1:-1, 1:-1], torch.zeros_like(padded[:, 1:-1, 1:-1], dtype=torch.long)
    for bit, (dy, dx) in enumerate(COMPASS):
        code |= (padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] > middle).long() << bit
    return lbp_table().to(rgb.device)[code]


def lbp_table() -> Tensor:
    """Return a table (256,): a run of j ones from bit i is pattern 7 i + j - 1, equal bits are 56, all others 57."""
    table = torch.full((256,), 57)
    table[0], table[255] = 56, 56
    for start in range(8):
        for length in range(1, 8):
            run = ((1 << length) - 1) << start
            table[(run | run >> 8) & 255] = 7 * start + length - 1
    return table


def box_corners(nodes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the first row and column, (B, n) each, of the superpixels' boxes in the padded photo.

    A box lies around the middle of the superpixel's extent.
    """
    batch, height, width = nodes.shape
    corners = []
    for dim, length in ((1, height), (2, width)):
        place = torch.arange(length, device=nodes.device).view([-1 if d == dim else 1 for d in range(3)])
        place, flat = place.expand_as(nodes).flatten(1), nodes.flatten(1)
        blank = place.new_zeros(batch, count)
        first = blank.scatter_reduce(1, flat, place, "amin", include_self=False)
        last = blank.scatter_reduce(1, flat, place, "amax", include_self=False)
        corners.append((first + last + 1) // 2 + BOX // 2)
    return corners[0], corners[1]
