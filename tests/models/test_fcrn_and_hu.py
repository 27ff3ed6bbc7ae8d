"""Shapes at the seams of FCRN and of Hu et al., and the two ways to enlarge before a projection."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.models import build_model
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.models.table1.up_projection import BilinearProjection, UnpooledProjection


def without_values(name: str) -> nn.Module:
    """With the paper's settings, for shapes only."""
    with torch.device("meta"):
        network = build_model(from_paper(name, {})[0], None).eval()
    network.logits.__class__ = nn.Conv2d  # without values there is no autocast to ask about
    return network


def outputs_of(network: nn.Module, parts: dict[str, nn.Module]) -> dict[str, tuple[int, ...]]:
    """Shape without the batch of what each part gives, of a photo of 228 x 304."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
    with torch.no_grad():
        network(torch.rand(1, 3, 228, 304, device="meta"))
    return shapes


def unpooled(x: Tensor) -> Tensor:
    """Each value in the upper left of 2 x 2 pixels, zeros beside it: figure 2 of Laina et al., the slow way."""
    large = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    large[..., ::2, ::2] = x
    return large


def test_a_transposed_convolution_is_a_convolution_of_the_unpooled_map() -> None:
    torch.manual_seed(0)
    block, x = UnpooledProjection(3, 2).eval(), torch.randn(2, 3, 4, 5)

    def convolved(branch: nn.Sequential) -> Tensor:
        kernel = branch[0].weight.transpose(0, 1).flip(-1, -2)
        return branch[1:](F.conv2d(unpooled(x), kernel, padding=2))

    with torch.no_grad():
        assert block(x).shape == (2, 2, 8, 10)
        torch.testing.assert_close(block(x), F.relu(convolved(block.long) + convolved(block.short)))


def test_both_branches_count_and_the_sum_is_cut_at_zero() -> None:
    torch.manual_seed(0)
    block, x = BilinearProjection(3, 2).eval(), torch.randn(1, 3, 4, 5)
    with torch.no_grad():
        large = F.interpolate(x, size=(7, 9), mode="bilinear", align_corners=False)
        both, out = block.long(large) + block.short(large), block(x, (7, 9))
    assert both.min() < 0 < both.max()
    torch.testing.assert_close(out, both.clamp(min=0))


def test_fcrn_at_its_papers_size() -> None:
    network = without_values("fcrn")
    blocks = {f"up {i}": block for i, block in enumerate(network.up, start=1)}
    shapes = outputs_of(network, {"narrow": network.narrow, **blocks, "logits": network.logits})
    assert list(shapes.values()) == [
        (1024, 8, 10), (512, 16, 20), (256, 32, 40), (128, 64, 80), (64, 128, 160), (1, 128, 160),
    ]  # fmt: skip


def test_hu_at_its_papers_size() -> None:
    network = without_values("hu")
    ups = {f"D {i}": block for i, block in enumerate(network.decoder.ups, start=1)}
    ups |= {f"MFF {i}": block for i, block in enumerate(network.fusion.ups, start=1)}
    parts = {**ups, "MFF": network.fusion, "R": network.refine, "logits": network.logits}
    shapes = outputs_of(network, parts)
    half = (114, 152)
    assert [shapes[f"D {i}"] for i in (1, 2, 3, 4)] == [(512, 15, 19), (256, 29, 38), (128, 57, 76), (64, *half)]
    assert [shapes[f"MFF {i}"] for i in (1, 2, 3, 4)] == [(16, *half)] * 4
    assert (shapes["MFF"], shapes["R"], shapes["logits"]) == ((64, *half), (128, *half), (1, *half))


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet10t", "mobilenetv3_small_050", "convnext_atto"])
@pytest.mark.parametrize("name", ["fcrn", "hu"])
def test_any_convolutional_backbone(name: str, backbone: str) -> None:
    network = build_model(from_paper(name, {"model": {"backbone": backbone, "size": (64, 96)}})[0]).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 45, 70)).shape == (1, 1, 45, 70)


@pytest.mark.parametrize("name", ["fcrn", "hu"])
def test_a_vision_transformer_is_refused(name: str) -> None:
    with pytest.raises(HqmdError, match=f"no features at stride 4, which {name} needs"):
        build_model(ModelConfig().with_settings(backbone="test_vit", system=name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcrn", "hu"])
def test_logits_are_no_short_numbers_under_autocast(name: str) -> None:
    network = build_model(from_paper(name, {"model": {"backbone": "test_efficientnet"}})[0]).eval()
    seen: list[torch.dtype] = []
    network.logits.register_forward_hook(lambda _, __, logits: seen.append(logits.dtype))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(1, 3, 64, 64))
    assert seen == [torch.float32]
