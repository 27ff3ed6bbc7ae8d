"""The up-projection of Laina et al. (3DV 2016, 3.2, figure 2c): a residual block behind an enlargement.

    long   5 x 5 convolution, batch norm, ReLU, 3 x 3 convolution, batch norm
    short  5 x 5 convolution, batch norm
    out    ReLU(long + short)

Laina et al. enlarge by zeros between the values, Hu et al. bilinearly: two classes, which differ in that only.
"""

from torch import Size, Tensor, nn
from torch.nn import functional as F

from hqmd_cli.models.layers import resize


class UpProjection(nn.Module):
    """What both kinds share; `long` and `short` begin with the two 5 x 5 convolutions."""

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
        """(B, C_in, h, w) -> (B, channels, ...), as large as the two 5 x 5 convolutions make it."""
        return F.relu(self.long(x) + self.short(x))


class UnpooledProjection(UpProjection):
    """(B, C_in, h, w) -> (B, C_out, 2h, 2w), enlarged by zeros: each value in the upper left of its 2 x 2 pixels.

    A 5 x 5 convolution of such a map is a transposed convolution of stride 2, which multiplies no zeros: 25 products an
    input value instead of 100, the same saving as the four interleaved convolutions of the paper's figure 3.
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
