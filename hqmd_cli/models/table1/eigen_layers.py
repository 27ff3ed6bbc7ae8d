"""Layers of both papers by Eigen et al.: two fully connected ones for pictures of one size, and the photo's first."""

from torch import Tensor, nn

HIDDEN = 4096
DROPOUT = 0.5  # after the first of the two fully connected layers


class FullView(nn.Module):
    """(B, C, h, w) -> (B, channels, *grid), where `cells` is (h, w). Every output depends on every input."""

    def __init__(self, in_channels: int, cells: tuple[int, int], channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (channels, *grid)
        self.hidden = nn.Sequential(
            nn.Linear(in_channels * cells[0] * cells[1], HIDDEN), nn.ReLU(inplace=True), nn.Dropout(DROPOUT)
        )
        self.spread = nn.Linear(HIDDEN, channels * grid[0] * grid[1])

    def forward(self, x: Tensor) -> Tensor:
        return self.spread(self.hidden(x.flatten(1))).unflatten(1, self.shape)


def rectified(in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    """Return a convolution and a ReLU."""
    return [nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding), nn.ReLU(inplace=True)]


def seen_photo(channels: int, pooling_stride: int) -> nn.Sequential:
    """Build the first layer of a finer network: 9 x 9 convolution of the photo at stride 2, and 3 x 3 max pooling."""
    return nn.Sequential(*rectified(3, channels, 9, stride=2, padding=1), nn.MaxPool2d(3, stride=pooling_stride))


def pooled(side: int) -> int:
    """Count the cells left of `side` by 3 x 3 pooling at stride 2."""
    return (side - 3) // 2 + 1


def quarter(side: int) -> int:
    """Count the cells left of a photo's side by seen_photo with stride 2: about a quarter."""
    return pooled((side + 2 - 9) // 2 + 1)
