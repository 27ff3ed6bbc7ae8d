"""The two pieces that every part of the network is made of."""

from torch import Size, Tensor, nn
from torch.nn import functional as F


class ConvBNReLU(nn.Sequential):
    """Convolution that keeps height and width, batch norm, ReLU. (B, C_in, H, W) -> (B, C_out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, rate: int = 1) -> None:
        padding = rate * (kernel // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=rate, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def resize(x: Tensor, size: Size | tuple[int, int]) -> Tensor:
    """Bilinear resize of (B, C, H, W) to `size` (H, W), pixel areas aligned."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
