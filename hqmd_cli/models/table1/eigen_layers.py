"""What Eigen et al. have in both papers: two fully connected layers that see the whole picture, of one size only."""

from torch import Tensor, nn

HIDDEN = 4096
DROPOUT = 0.5  # behind the first of the two


class FullView(nn.Module):
    """(B, C, h, w), h x w = `cells`, -> (B, channels, *grid): anything anywhere may depend on anything anywhere."""

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
    """A convolution and a ReLU."""
    return [nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding), nn.ReLU(inplace=True)]


def seen_photo(channels: int, pooling_stride: int) -> nn.Sequential:
    """The first layer of every finer network: the photo by 9 x 9 at stride 2, and the largest of each 3 x 3."""
    return nn.Sequential(*rectified(3, channels, 9, stride=2, padding=1), nn.MaxPool2d(3, stride=pooling_stride))


def pooled(side: int) -> int:
    """How many cells of `side` there are behind pooling 3 x 3 at stride 2."""
    return (side - 3) // 2 + 1


def quarter(side: int) -> int:
    """The same of a side of the photo, behind seen_photo with a stride of 2: about a quarter."""
    return pooled((side + 2 - 9) // 2 + 1)
