"""Pairs of superpixels for Make3D's field of planes (plane_field.py), and what tells whether they belong together.

Saxena, Sun and Ng, "Make3D", TPAMI 2009, section 4. Three kinds of pairs, KINDS in this order:

- connected: the planes meet at the border of two neighbours, at the two points of it that are farthest apart;
- coplanar: at the middle of a neighbour, and of the other one, both planes have the same depth;
- collinear: superpixels that follow each other along a straight line of the photo lie on a line in space: at the ends
  of the line's course through one, the other's plane has the same depth.

A pair's features are 14 segmentations' answers (are both in one region?), by seven properties at two scales, and the
length of the line. The regions are those of Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation",
IJCV 59 (2004), which merges superpixels here, where theirs merges pixels.
"""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hqmd_cli.models.table1.plane_field import Pairs
from hqmd_cli.models.table1.superpixels import start_pixels

KINDS = ("connected", "coplanar", "collinear")
# Filters whose mean responses make a property, numbers from 0: gen_TextSup_efficient_GlobalH2.m. The seventh is colour.
PROPERTIES = ((0, 9, 10), (0, 1, 4), (0, 2, 6), (9, 13, 16), (11, 14, 12), (9, 9, 10))
REGION_SCALES = (0.3, 1.0)
SEGMENTATIONS = len(REGION_SCALES) * (len(PROPERTIES) + 1)
PAIR_FEATURES = SEGMENTATIONS + 1
SHORTEST_LINE = 1 / 8  # of the shorter side
BESIDE_LINE = 2.0  # pixels from the line to the superpixels on either side, as the line is an edge between them

Integers = NDArray[np.int64]


def watersheds(rgb: Tensor, region: int) -> tuple[Tensor, int]:
    """Segment (B, 3, h, w) in 0..1 into superpixels, one around each tile of `region` pixels a side.

    Return the superpixel of each pixel, (B, h, w), and their number n. Each is one piece: OpenCV's watersheds grow from
    the pixel of the weakest edge near the middle of each tile (start_pixels in superpixels.py).
    """
    height, width = rgb.shape[-2:]
    starts = start_pixels(rgb, region).cpu().numpy()
    nodes = []
    for photo, start in zip((rgb * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy(), starts, strict=True):
        # A frame, because watershed leaves the outermost pixels without a number.
        framed = cv2.copyMakeBorder(photo, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        basin: NDArray[Any] = np.zeros((height, width), np.int32)
        basin.ravel()[start] = np.arange(len(start)) + 1
        basin = cv2.watershed(framed, cv2.copyMakeBorder(basin, 1, 1, 1, 1, cv2.BORDER_CONSTANT))[1:-1, 1:-1]
        while (basin < 1).any():  # pixels on a watershed join the neighbour with the largest number
            basin = np.where(basin < 1, cv2.dilate(basin.astype(np.float32), np.ones((3, 3))).astype(np.int32), basin)
        nodes.append(torch.from_numpy(basin.astype(np.int64) - 1))
    return torch.stack(nodes).to(rgb.device), starts.shape[1]


def pairs_of(rgb: Tensor, nodes: Tensor, responses: Tensor, ray: Tensor) -> Pairs:
    """Return the pairs of a batch: RGB (B, 3, h, w) in 0..1, nodes (B, h, w), mean filter responses (B, n, 17).

    `ray` is (h, w, 3).
    """
    found = []
    for number in range(len(nodes)):
        node, photo = nodes[number].cpu().numpy(), rgb[number].permute(1, 2, 0).cpu().numpy()
        first, second, place, kind, length = graph(node, photo)
        regions = segmentations(photo, node, responses[number].cpu().double().numpy(), first, second)
        same = regions[:, first] == regions[:, second]
        features = np.concatenate([same, length[None] / min(node.shape)]).T
        found.append((np.full_like(first, number), first, second, place, kind, features))
    columns = [torch.from_numpy(np.concatenate(part)).to(nodes.device) for part in zip(*found, strict=True)]
    picture, i, j, pixel, kinds, told = columns
    return Pairs(picture, i, j, ray.flatten(0, 1)[pixel], kinds, told.to(ray.dtype))


def graph(
    node: Integers, photo: NDArray[np.float32]
) -> tuple[Integers, Integers, Integers, Integers, NDArray[np.float64]]:
    """Return i, j, the pixel of the ray, the kind and the line's length of each pair, (m,) each."""
    i, j, at = border_points(node)
    once = np.unique(np.stack([i, j]), axis=1)
    both = np.concatenate([once, once[::-1]], axis=1)
    lines = [row for line in long_lines(photo) for row in along(node, line)]
    line_i, line_j, line_at, length = np.array(lines, dtype=np.float64).reshape(-1, 4).T
    parts = (
        (i, j, at, np.zeros(len(i))),
        (both[0], both[1], middles(node)[both[1]], np.zeros(both.shape[1])),
        (line_i, line_j, line_at, length),
    )
    kind = np.repeat(np.arange(len(KINDS)), [len(part[0]) for part in parts])
    first, second, place, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
    return first.astype(np.int64), second.astype(np.int64), place.astype(np.int64), kind, lengths


def border_points(node: Integers) -> tuple[Integers, Integers, Integers]:
    """Return i < j and a pixel for the two points farthest apart on the border of each pair of neighbours."""
    height, width = node.shape
    number = np.arange(height * width).reshape(height, width)
    one = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])
    other = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])
    at = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    apart = one != other
    low, high, at = np.minimum(one, other)[apart], np.maximum(one, other)[apart], at[apart]
    pair, index = np.unique(low * (node.max() + 1) + high, return_inverse=True)
    yx = np.stack(np.divmod(at, width), axis=1).astype(np.float64)
    middle = np.stack([np.bincount(index, part) for part in yx.T], axis=1) / np.bincount(index)[:, None]
    end = farthest(index, yx, middle)
    ends = np.concatenate([end, farthest(index, yx, yx[end])])
    low, high = (np.tile(part, 2) for part in np.divmod(pair, node.max() + 1))
    return low, high, at[ends]


def farthest(index: Integers, yx: NDArray[np.float64], origin: NDArray[np.float64]) -> Integers:
    """Return the point of each group that is farthest from the group's origin."""
    order = np.lexsort((np.square(yx - origin[index]).sum(axis=1), index))
    last = np.flatnonzero(np.diff(index[order], append=index.max(initial=-1) + 1))
    return order[last]


def middles(node: Integers) -> Integers:
    """Return the pixel at the mean place of each superpixel's pixels, (n,)."""
    pixels = np.maximum(np.bincount(node.ravel()), 1)
    y, x = (np.bincount(node.ravel(), place.ravel()) / pixels for place in np.indices(node.shape))
    return np.round(y).astype(np.int64) * node.shape[1] + np.round(x).astype(np.int64)


def long_lines(photo: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the straight lines of a photo, (lines, 4): x and y of both ends (von Gioi et al., LSD; OpenCV's)."""
    grey = cv2.cvtColor((photo * 255).round().astype(np.uint8), cv2.COLOR_RGB2GRAY)
    lines = cv2.createLineSegmentDetector().detect(grey)[0]
    ends = np.zeros((0, 4)) if lines is None else np.asarray(lines, dtype=np.float64).reshape(-1, 4)
    return ends[np.hypot(ends[:, 0] - ends[:, 2], ends[:, 1] - ends[:, 3]) >= SHORTEST_LINE * min(grey.shape)]


def along(node: Integers, line: NDArray[np.float64]) -> list[tuple[float, ...]]:
    """Return i, j, a pixel and the line's length, for superpixels that follow each other beside a line."""
    height, width = node.shape
    start, end = line[:2], line[2:]
    length = float(np.hypot(*(end - start)))
    across = np.array([start[1] - end[1], end[0] - start[0]]) / length
    steps = np.linspace(start, end, int(length) + 1)
    rows: list[tuple[float, ...]] = []
    for side in (-BESIDE_LINE, BESIDE_LINE):
        x, y = np.round(steps + side * across).astype(np.int64).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        at = (y * width + x)[inside]
        visited = node.ravel()[at]
        begins = np.flatnonzero(np.diff(visited, prepend=-1))
        ends = np.append(begins[1:], len(visited)) - 1
        for before, after in zip(range(len(begins) - 1), range(1, len(begins)), strict=True):
            i, j = visited[begins[before]], visited[begins[after]]
            rows += [(i, j, at[ends[after]], length), (j, i, at[begins[before]], length)]
    return rows


def segmentations(
    photo: NDArray[np.float32], node: Integers, responses: NDArray[np.float64], first: Integers, second: Integers
) -> Integers:
    """Return the region of each superpixel in each segmentation, (14, n)."""
    pixels = np.maximum(np.bincount(node.ravel(), minlength=len(responses)), 1)
    colours = [
        np.bincount(node.ravel(), channel.ravel(), len(responses)) / pixels for channel in photo.transpose(2, 0, 1)
    ]
    strong = responses / np.maximum(responses.max(axis=0), 1e-12)
    edges = np.unique(np.sort(np.stack([first, second]), axis=0), axis=1)
    properties = [np.stack(colours, axis=1), *(strong[:, list(channels)] for channels in PROPERTIES)]
    return np.stack([merge(values, edges, scale) for values in properties for scale in REGION_SCALES])


def merge(values: NDArray[np.float64], edges: Integers, scale: float) -> Integers:
    """Merge nodes with values (n, channels) along edges (2, E); return a region's number for each node, (n,).

    Two regions are merged by an edge no longer than the longest edge within each, plus `scale` over its size.
    """
    lengths = np.sqrt(np.square(values[edges[0]] - values[edges[1]]).sum(axis=1))
    order = np.argsort(lengths, kind="stable")
    region, size, most = list(range(len(values))), [1] * len(values), [scale] * len(values)

    def root(node: int) -> int:
        while region[node] != node:
            region[node] = region[region[node]]
            node = region[node]
        return node

    for length, one, other in zip(lengths[order].tolist(), *edges[:, order].tolist(), strict=True):
        a, b = root(one), root(other)
        if a != b and length <= most[a] and length <= most[b]:
            region[b] = a
            size[a] += size[b]
            most[a] = length + scale / size[a]
    return np.array([root(node) for node in range(len(values))])
