"""Convolutions at the stride of what they see: the same depth for less time."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.models import DECODERS, build_model
from hqmd_cli.models.backbone import join
from hqmd_cli.models.layers import ConvBNReLU, resize
from hqmd_cli.models.strided import Level, convolve, taps_on_coarse_map

CONFIG = ModelConfig().with_settings(
    backbone="tf_efficientnet_lite0",
    size=(64, 96),
    output_stride=32,
    high_stages=2,
    low_stages=2,
    aspp_rates=(2,),
    aspp_channels=8,
    low_channels=6,
    fuse_channels=10,
    coarse_first=True,
)


def smooth(channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """(1, C, H, W) whose neighbours are alike, as features are."""
    noise = torch.rand(1, channels, height // 4 + 1, width // 4 + 1, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(noise, size=(height, width), mode="bicubic")


def layer(channels: int, kernel: int = 1, rate: int = 1) -> ConvBNReLU:
    """With batch norm statistics that are not 0 and 1, in evaluation mode."""
    torch.manual_seed(1)
    made = ConvBNReLU(channels, 4, kernel, rate).eval()
    norm = made[1]
    norm.running_mean.uniform_(-0.2, 0.2)
    norm.running_var.uniform_(0.5, 2)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.bias, 0.5, 1)  # so that ReLU does not hide differences
    return made


def both_ways(made: ConvBNReLU, levels: list[Level]) -> tuple[Tensor, Tensor]:
    """At each level's stride, and of the joined maps."""
    with torch.no_grad():
        return convolve(made, levels), made(join([level.features for level in levels]))


def test_a_pointwise_convolution_comes_to_the_same() -> None:
    levels = [Level(smooth(3, 16, 24)), Level(smooth(5, 8, 12, 1), 2), Level(smooth(2, 4, 6, 2), 4)]
    torch.testing.assert_close(*both_ways(layer(10), levels))


@pytest.mark.parametrize(("rate", "ratio"), [(2, 2), (4, 2), (8, 4)])
def test_taps_whole_steps_apart_come_to_the_same_inside(rate: int, ratio: int) -> None:
    levels = [Level(smooth(3, 48, 64)), Level(smooth(5, 48 // ratio, 64 // ratio, 1), ratio)]
    here, there = both_ways(layer(8, 3, rate), levels)
    border = rate + ratio
    inside = (..., slice(border, -border), slice(border, -border))
    torch.testing.assert_close(here[inside], there[inside], atol=1e-4, rtol=1e-4)


def test_an_ordinary_3_x_3_convolution_comes_near_it() -> None:
    """And nearer than its taps left as they are would, four times as far apart."""
    fine, coarse = smooth(3, 64, 96), smooth(5, 16, 24, 1)
    made = layer(8, 3)
    here, there = both_ways(made, [Level(fine), Level(coarse, 4)])
    far, _ = both_ways(made, [Level(fine), Level(coarse, 1)])
    inside = (..., slice(8, -8), slice(8, -8))
    error, unmoved = ((those - there)[inside].abs().mean().item() for those in (here, far))
    assert error < 0.02 * there[inside].std().item()
    assert error < unmoved / 5


def test_taps_add_up_and_mirror() -> None:
    taps = np.array(taps_on_coarse_map(1, 4))
    np.testing.assert_allclose(taps.sum(axis=1), 1, atol=0.002)  # even surfaces stay what they are
    np.testing.assert_allclose(taps, taps[::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(taps_on_coarse_map(12, 2), np.eye(3), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
def test_the_same_weights_either_way(decoder: str) -> None:
    torch.manual_seed(0)
    first = build_model(CONFIG.with_settings(decoder=decoder)).eval()
    joined = build_model(CONFIG.with_settings(decoder=decoder, coarse_first=False)).eval()
    joined.load_state_dict(first.state_dict())
    with torch.no_grad():
        here, there = first(smooth(3, 64, 96)), joined(smooth(3, 64, 96))
    assert not torch.equal(here, there)
    assert (here / there).log().abs().mean() < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
def test_depth_at_some_of_the_pixels(decoder: str) -> None:
    """As at all of them, made smaller; and in training, where a loss asks for all, at all."""
    torch.manual_seed(0)
    every = build_model(CONFIG.with_settings(decoder=decoder)).eval()
    some = build_model(CONFIG.with_settings(decoder=decoder, depth_stride=2)).eval()
    some.load_state_dict(every.state_dict())
    picture = smooth(3, 65, 96)
    with torch.no_grad():
        there, here = every(picture), some(picture)
    assert here.shape == (1, 1, 33, 48)
    assert (resize(there, (33, 48)) / here).log().abs().mean() < 0.1 * there.log().std()
    assert some.train()(torch.rand(2, 3, 64, 96)).shape == (2, 1, 64, 96)
    for nonsense in ({"depth_stride": 3}, {"depth_stride": 2, "system": "fcrn"}):
        with pytest.raises(HqmdError, match="depth_stride must be one of"):
            CONFIG.with_settings(**nonsense)


@pytest.mark.slow
def test_it_trains() -> None:
    """Batch norm's statistics are of the sum, and every weight gets a gradient."""
    network = build_model(CONFIG).train()
    network(torch.rand(2, 3, 64, 96)).sum().backward()
    silent = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert silent == []
