"""The up-projection of Laina et al. (3DV 2016, section 3.2, figure 2c): a residual block after an enlargement.

    long   5 x 5 convolution, batch norm, ReLU, 3 x 3 convolution, batch norm
    short  5 x 5 convolution, batch norm
    out    ReLU(long + short)

Laina et al. enlarge by inserting zeros, Hu et al. bilinearly. The two classes differ in nothing else.
"""

from torch import Size, Tensor, nn
from torch.nn import functional as F

from hqmd_cli.models.layers import resize


def halved(channels: int, steps: int) -> list[int]:
    """Return the channels after the first halving, which a convolution makes, and after each of `steps` more."""
    return [max(channels >> (1 + i), 1) for i in range(1 + steps)]


class UpProjection(nn.Module):
    """Base of both kinds; `long` and `short` are their two 5 x 5 convolutions."""

    def __init__(self, long: nn.Module, short: nn.Module, channels: int) -> None:
        super().__init__()
        self.long = nn.Sequential(
            long,
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.short = nn.Sequential(short, nn.BatchNorm2d(channels))

    def project(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, channels, ...), at the size that the 5 x 5 convolutions give."""
        return F.relu(self.long(x) + self.short(x))


class UnpooledProjection(UpProjection):
    """(B, C_in, h, w) -> (B, C_out, 2h, 2w), each value in the upper left of 2 x 2 pixels, with zeros beside it.

    A 5 x 5 convolution of such a map is a transposed convolution of stride 2, which multiplies no zeros: 25 products
    per input value instead of 100. The four interleaved convolutions of the paper's figure 3 save as much.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        def enlarging() -> nn.Module:
            return nn.ConvTranspose2d(in_channels, out_channels, 5, stride=2, padding=2, output_padding=1, bias=False)

        super().__init__(enlarging(), enlarging(), out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x)


class BilinearProjection(UpProjection):
    """(B, C_in, h, w) -> (B, C_out, *size), enlarged bilinearly."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        def convolution() -> nn.Module:
            return nn.Conv2d(in_channels, out_channels, 5, padding=2, bias=False)

        super().__init__(convolution(), convolution(), out_channels)

    def forward(self, x: Tensor, size: Size | tuple[int, int]) -> Tensor:
        return self.project(resize(x, size))
