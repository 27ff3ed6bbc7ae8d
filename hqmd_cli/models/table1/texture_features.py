"""The features of Saxena, Chung and Ng: energies of 17 filters in patches at three scales (make3d.py).

"3-D Depth Reconstruction from a Single Still Image", IJCV 76 (2007), section 4; filters and distances as in
calculateFilterBanks_old.m and genFeaVector.m of their code. Our choices where the two are silent or where we differ:

- Photos are resized to 16 pixels a patch; theirs have about 20. The next scale is a third as large, as in their code.
- Energies are means over a patch. Theirs are sums, which differ only at the border. The filters' scale is ours, too.
- Histogram bins are equal parts of ln(1 + 255 |response|), up to the largest possible response. Theirs lie between the
  smallest and largest response of their data.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.models.layers import resize

PATCH = 16  # pixels, side of a patch
SCALES = 3
SCALE_STEP = 3  # factor from one scale to the next
COLUMN_PARTS = 4  # parts of a patch's column of the photo, each with energies of its own
HISTOGRAM_BINS = 10
LAWS = ((1, 2, 1), (-1, 0, 1), (-1, 2, -1))  # level, edge, spot; Laws 1980
EDGE_0 = ((-100, -100, 0, 100, 100),) * 5  # this and the next: Nevatia and Babu 1980, at 0 and 30 degrees
EDGE_30 = (
    (-100, 32, 100, 100, 100),
    (-100, -78, 92, 100, 100),
    (-100, -100, 0, 100, 100),
    (-100, -100, -92, 78, 100),
    (-100, -100, -100, -32, 100),
)
FILTERS = 17
ENERGIES = 2 * FILTERS  # means of |response| and of response^2
FEATURES = (5 * SCALES + COLUMN_PARTS) * ENERGIES  # 646
RELATIVE = FILTERS * HISTOGRAM_BINS  # 170, compared between two patches
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))  # ITU-R BT.601


def filters() -> Tensor:
    """Return (17, 3, 5, 5): Laws' nine masks for brightness, the first for each colour, six edges 30 degrees apart.

    The absolute values of a filter's weights sum to 1.
    """
    masks = F.pad(torch.stack([torch.tensor(a)[:, None] * torch.tensor(b) for a in LAWS for b in LAWS]), (1, 1, 1, 1))
    first, second = torch.tensor(EDGE_0), torch.tensor(EDGE_30)
    fifth = second.T.flip(0)
    edges = torch.stack([first, second, -second.T, -first.T, fifth, fifth.T])
    bank = torch.zeros(FILTERS, 3, 5, 5)
    bank[:9, 0], bank[9, 1], bank[10, 2], bank[11:, 0] = masks, masks[0], masks[0], edges
    return bank / bank.abs().sum(dim=(1, 2, 3), keepdim=True)


def respond(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) in 0..1 -> |response| of the 17 filters, (B, 17, H, W), replicated at the border."""
    colour = torch.tensor(YCBCR, device=rgb.device, dtype=rgb.dtype)
    ycbcr = torch.einsum("cd,bdhw->bchw", colour, rgb) + torch.tensor([0, 0.5, 0.5], device=rgb.device).view(3, 1, 1)
    bank = filters().to(rgb)
    small = F.pad(F.conv2d(ycbcr, bank[:11, :, 1:4, 1:4]), (1, 1, 1, 1), mode="replicate")
    large = F.pad(F.conv2d(ycbcr, bank[11:]), (2, 2, 2, 2), mode="replicate")
    return torch.cat([small, large], dim=1).abs()


def describe(rgb: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """(B, 3, H, W) -> features >= 0, (B, 646, rows, columns), and histograms of the three scales, (B, 3, 170, n)."""
    absolute, relative = [], []
    photo = resize_area(rgb, (rows * PATCH, columns * PATCH))
    for scale in range(SCALES):
        patches = SCALE_STEP**scale  # of the finest scale, along a side of a patch of this scale
        response = respond(photo)
        energies = F.adaptive_avg_pool2d(torch.cat([response, response.square()], dim=1), (rows, columns))
        absolute.append(with_neighbours(window_means(energies, patches), patches))
        relative.append(window_means(histograms(response, rows, columns), patches).flatten(2))
        if scale == 0:
            column = F.adaptive_avg_pool2d(energies, (COLUMN_PARTS, columns))  # (B, 34, 4, columns)
        if scale < SCALES - 1:
            photo = resize_area(photo, (max(5, photo.shape[-2] // SCALE_STEP), max(5, photo.shape[-1] // SCALE_STEP)))
    absolute.append(column.transpose(1, 2).flatten(1, 2)[:, :, None].expand(-1, -1, rows, -1))
    return torch.cat(absolute, dim=1), torch.stack(relative, dim=1)


def resize_area(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, 3, H, W): average pixel areas if no side grows, else bilinear."""
    smaller = size[0] <= rgb.shape[-2] and size[1] <= rgb.shape[-1]
    return F.interpolate(rgb, size=size, mode="area") if smaller else resize(rgb, size)


def window_means(patches: Tensor, width: int) -> Tensor:
    """Average over the `width` x `width` patches around each, inside the border only: (B, C, rows, columns)."""
    return F.avg_pool2d(patches, width, stride=1, padding=width // 2, count_include_pad=False)


def with_neighbours(energies: Tensor, step: int) -> Tensor:
    """Append the features of the patches left, right, above and below: (B, C, h, w) -> (B, 5 C, h, w).

    At the border the outermost patch takes the place of missing ones.
    """
    height, width = energies.shape[-2:]
    down, across = (torch.arange(side, device=energies.device) for side in (height, width))
    beside = [energies[..., (across + dx).clamp(0, width - 1)] for dx in (-step, step)]
    above = [energies[..., (down + dy).clamp(0, height - 1), :] for dy in (-step, step)]
    return torch.cat([energies, *beside, *above], dim=1)


def histograms(response: Tensor, rows: int, columns: int) -> Tensor:
    """Return the shares of a patch's pixels in 10 bins of each |response|: (B, 17, h, w) -> (B, 170, rows, columns)."""
    batch, _, height, width = response.shape
    place = torch.log1p(255 * response) / math.log1p(255)
    number = (place * HISTOGRAM_BINS).long().clamp(0, HISTOGRAM_BINS - 1)
    row, column = (torch.arange(side, device=response.device) for side in (height, width))
    patch = (row * rows // height)[:, None] * columns + column * columns // width
    counts = response.new_zeros(batch, FILTERS, rows * columns * HISTOGRAM_BINS)
    places = (patch * HISTOGRAM_BINS + number).flatten(2)
    counts = counts.scatter_add(2, places, torch.ones_like(response).flatten(2))
    counts = counts.view(batch, FILTERS, -1, HISTOGRAM_BINS)
    shares = counts / counts.sum(dim=3, keepdim=True).clamp(min=1)
    return shares.transpose(2, 3).reshape(batch, RELATIVE, rows, columns)
