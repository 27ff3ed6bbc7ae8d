"""Networks: shapes, gradients, the two decoders, backbones by name and where their weights come from.

Most tests use timm's `test_*` networks, well under a million parameters each.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.models import DECODERS, build_model
from hqmd_cli.models.activations import ACTIVATIONS, MEAN_DEPTH_M
from hqmd_cli.models.layers import ConvBNReLU
from hqmd_cli.models.network import DepthNetwork

ASPP_CHANNELS, LOW_CHANNELS, FUSE_CHANNELS = 10, 6, 12  # all different, so that a mixed-up one shows


def small(backbone: str = "test_efficientnet", **settings: Any) -> ModelConfig:
    """The defaults but for a small backbone and narrow layers."""
    widths = {"aspp_channels": ASPP_CHANNELS, "low_channels": LOW_CHANNELS, "fuse_channels": FUSE_CHANNELS}
    return ModelConfig().with_settings(backbone=backbone, **{**widths, **settings})


def build(config: ModelConfig, weights: str = "none", seed: int = 0) -> DepthNetwork:
    """The network in evaluation mode, random but the same each time."""
    torch.manual_seed(seed)
    return build_model(config, weights).eval()


def photos(height: int, width: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def shapes_at(module: nn.Module, seen: dict[str, torch.Size], name: str) -> None:
    """Note a module's input and output shape when it runs."""

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[f"{name} in"], seen[f"{name} out"] = inputs[0].shape, output.shape

    module.register_forward_hook(note)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (65, 97)])
@pytest.mark.parametrize("decoder", DECODERS)
def test_depth_is_positive_and_as_large_as_the_photo(decoder: str, size: tuple[int, int]) -> None:
    with torch.no_grad():
        depth_m = build(small(decoder=decoder))(photos(*size, count=2))
    assert depth_m.shape == (2, 1, *size)
    assert depth_m.isfinite().all()
    assert depth_m.min() > 0


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_papers_input_size(decoder: str) -> None:
    network = build(small(decoder=decoder))
    seen: dict[str, torch.Size] = {}
    shapes_at(network.aspp, seen, "aspp")
    shapes_at(network.decoder.fusion, seen, "fusion")
    with torch.no_grad():
        depth_m = network(photos(*network.config.size))
    assert depth_m.shape == (1, 1, 289, 385)
    assert seen["aspp in"][-2:] == seen["aspp out"][-2:] == (19, 25)  # 1/16
    assert seen["fusion out"] == (1, FUSE_CHANNELS, 73, 97)  # 1/4


def test_photos_of_a_batch_do_not_see_each_other() -> None:
    network, batch = build(small()), photos(33, 47, count=3)
    with torch.no_grad():
        torch.testing.assert_close(network(batch)[1:2], network(batch[1:2]))


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_vit"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_gradient_reaches_every_parameter(decoder: str, backbone: str) -> None:
    network = build(small(backbone, decoder=decoder)).train()
    (network(photos(65, 97, count=2)) * torch.rand(2, 1, 65, 97)).sum().backward()
    unreached = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert unreached == []
    still = [n for n, p in network.named_parameters() if p.grad is not None and p.grad.count_nonzero() == 0]
    assert still == []


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_batch_of_one_trains(decoder: str) -> None:
    """In training mode, at the smallest size: image pooling has one value a channel, which no batch norm takes."""
    network = build(small(decoder=decoder)).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    before = network.decoder.logits.weight.clone()
    loss = network(photos(32, 32)).mean()
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    assert not torch.equal(before, network.decoder.logits.weight)


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_vit"])
def test_seeded_builds_are_equal(backbone: str) -> None:
    first, again, other = (build(small(backbone), seed=seed).state_dict() for seed in (3, 3, 4))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("decoder", DECODERS)
def test_an_untrained_network_starts_at_the_mean_depth(decoder: str, activation: str) -> None:
    network = build(small(decoder=decoder, activation=activation))
    nn.init.zeros_(network.decoder.logits.weight)
    with torch.no_grad():
        depth_m = network(photos(33, 47))
    torch.testing.assert_close(depth_m, torch.full_like(depth_m, MEAN_DEPTH_M))


@pytest.mark.parametrize(("activation", "expected_m"), [("softplus", math.log(1 + math.exp(1.5))), ("exp", 4.481689)])
def test_activation_turns_logits_into_metres(activation: str, expected_m: float) -> None:
    network = build(small(activation=activation))
    nn.init.zeros_(network.decoder.logits.weight)
    nn.init.constant_(network.decoder.logits.bias, 1.5)
    with torch.no_grad():
        assert network(photos(32, 32)).mean().item() == pytest.approx(expected_m, rel=1e-6)


def test_baseline_enlarges_one_channel_of_logits() -> None:
    network = build(small(decoder="baseline"))
    seen: dict[str, torch.Size] = {}
    shapes_at(network.decoder.logits, seen, "logits")
    with torch.no_grad():
        network(photos(64, 96))
    assert seen == {"logits in": (1, FUSE_CHANNELS, 16, 24), "logits out": (1, 1, 16, 24)}


def test_baseline_plus_enlarges_sixteen_channels() -> None:
    network = build(small(decoder="baseline+"))
    seen: dict[str, torch.Size] = {}
    shapes_at(network.decoder.reduce, seen, "reduce")
    shapes_at(network.decoder.logits, seen, "logits")
    with torch.no_grad():
        network(photos(64, 96))
    assert seen == {
        "reduce in": (1, FUSE_CHANNELS, 16, 24),
        "reduce out": (1, 16, 16, 24),
        "logits in": (1, 16, 64, 96),
        "logits out": (1, 1, 64, 96),
    }
    assert network.decoder.logits.kernel_size == (1, 1)


@pytest.mark.parametrize("decoder", DECODERS)
def test_context_is_enlarged_and_joined_to_the_narrowed_low_features(decoder: str) -> None:
    fusion = build(small(decoder=decoder)).decoder.fusion
    seen: list[Tensor] = []
    fusion.fuse.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    low, context = torch.randn(1, 24, 16, 24), torch.randn(1, ASPP_CHANNELS, 4, 6)
    with torch.no_grad():
        fusion(low, context)
        narrow = fusion.narrow(low)
    assert narrow.shape[1] == LOW_CHANNELS
    enlarged = F.interpolate(context, size=(16, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(seen[0], torch.cat([narrow, enlarged], dim=1))


def test_baseline_is_its_quarter_enlarged() -> None:
    """And turned into metres only then."""
    network = build(small(decoder="baseline"))
    quarter: list[Tensor] = []
    network.decoder.logits.register_forward_hook(lambda _, __, logits: quarter.append(logits))
    with torch.no_grad():
        depth_m = network(photos(64, 96))
    enlarged = F.interpolate(quarter[0], size=(64, 96), mode="bilinear", align_corners=False)
    assert torch.equal(depth_m, F.softplus(enlarged))


@pytest.mark.parametrize(("decoder", "is_affine"), [("baseline", True), ("baseline+", False)])
def test_baseline_plus_is_more_than_a_longer_baseline(
    decoder: str, is_affine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linear steps alone from the joined features to the logits would fold into one, the baseline's."""
    part = build(small(decoder=decoder)).decoder
    features = torch.randn(1, FUSE_CHANNELS, 8, 12, generator=torch.Generator().manual_seed(0))

    def logits(joined: Tensor) -> Tensor:
        monkeypatch.setattr(part.fusion, "forward", lambda low, context: joined)
        return part(joined, joined, torch.Size((32, 48)))

    with torch.no_grad():
        bend = logits(features) + logits(-features) - 2 * logits(0 * features)
    assert (bend.abs().max().item() < 1e-5) == is_affine


@pytest.mark.slow
def test_resnet50_as_in_the_paper() -> None:
    network = build(ModelConfig())
    backbone = network.backbone
    assert (backbone.low_channels, backbone.low_stride) == (256, 4)
    assert (backbone.high_channels, backbone.high_stride) == (2048, 16)
    with torch.no_grad():
        low, high = backbone(photos(289, 385))
        assert low.shape == (1, 256, 73, 97)
        assert high.shape == (1, 2048, 19, 25)
        assert network.decoder(low, network.aspp(high), torch.Size((289, 385))).shape == (1, 1, 289, 385)

    atrous = [m for m in network.aspp.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [m.dilation for m in atrous] == [(6, 6), (12, 12), (18, 18)]
    assert len(network.aspp.branches) == 5  # 1x1, three atrous, the picture's mean
    fusing = [m for m in network.decoder.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [(m.in_channels, m.out_channels) for m in fusing] == [(256 + 48, 256), (256, 256)]
    for conv in (*atrous, *fusing):
        assert conv.groups == 1  # ordinary, not atrous separable; 3.1
    assert all(conv.dilation == (1, 1) for conv in fusing)


def test_the_pictures_mean_reaches_every_pixel() -> None:
    network = build(small())
    high = torch.rand(1, network.backbone.high_channels, 3, 4)
    pooled = network.aspp.branches[-1](high)
    assert pooled.shape == (1, ASPP_CHANNELS, 3, 4)
    torch.testing.assert_close(pooled, pooled[..., :1, :1].expand_as(pooled))
    torch.testing.assert_close(network.aspp.branches[-1](high.flip(-1)), pooled)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("rate", [1, 6])
def test_convolutions_keep_the_size(kernel: int, rate: int) -> None:
    assert ConvBNReLU(3, 5, kernel, rate).eval()(torch.rand(1, 3, 5, 7)).shape == (1, 5, 5, 7)


PYRAMIDS = ["test_resnet", "resnet10t", "mobilenetv3_small_050", "tf_efficientnet_lite0", "convnext_atto"]


@pytest.mark.slow
@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("backbone", PYRAMIDS)
def test_a_pyramid_backbone_keeps_its_promise(backbone: str, output_stride: int) -> None:
    network = build(small(backbone, output_stride=output_stride))
    declared = network.backbone
    with torch.no_grad():
        low, high = declared(photos(64, 96))
    assert (declared.low_stride, declared.high_stride) == (4, output_stride)
    assert low.shape == (1, declared.low_channels, 64 // 4, 96 // 4)
    assert high.shape == (1, declared.high_channels, 64 // output_stride, 96 // output_stride)


@pytest.mark.parametrize(
    ("backbone", "high_stages", "patch", "width"),
    [
        pytest.param("vit_small_patch14_dinov2", 1, 14, 384, marks=pytest.mark.slow),
        pytest.param("vit_tiny_patch16_224", 4, 16, 192, marks=pytest.mark.slow),
        ("test_vit", 2, 16, 64),
    ],
)
def test_a_vision_transformer_keeps_its_promise(backbone: str, high_stages: int, patch: int, width: int) -> None:
    network = build(small(backbone, high_stages=high_stages))
    declared = network.backbone
    with torch.no_grad():
        low, high = declared(photos(4 * patch, 6 * patch))
        odd_low, odd_high = declared(photos(33, 47))  # rounded to 2 x 3 patches of either size
        assert network(photos(33, 47)).shape == (1, 1, 33, 47)
    assert (declared.high_channels, declared.high_stride) == (high_stages * width, patch)
    assert low.shape == (1, declared.low_channels, patch, 6 * patch // 4)
    assert high.shape == (1, declared.high_channels, 4, 6)
    assert odd_low.shape[-2:] == (9, 12)
    assert odd_high.shape[-2:] == (2, 3)


@pytest.mark.parametrize(
    ("setting", "blocks"),
    [
        ({"high_stages": 1}, [11]),
        ({"high_stages": 2}, [5, 11]),
        ({"high_stages": 4}, [2, 5, 8, 11]),
        ({"high_stages": 12}, list(range(12))),
        ({"high_blocks": (3, 7)}, [3, 7]),
    ],
)
def test_a_vision_transformer_joins_the_blocks_it_should(setting: dict[str, Any], blocks: list[int]) -> None:
    """At even distances, or those named; what lies behind the last of them is not even there."""
    declared = build(small("vit_tiny_patch16_224", **setting)).backbone
    assert len(declared.net.model.blocks) == blocks[-1] + 1
    outputs: dict[int, Tensor] = {}
    for index, block in enumerate(declared.net.model.blocks):
        block.register_forward_hook(lambda _, __, output, index=index: outputs.update({index: output}))
    with torch.no_grad():
        _, high = declared(photos(32, 48))
    expected = torch.cat([outputs[index][:, 1:].transpose(1, 2).reshape(1, 192, 2, 3) for index in blocks], dim=1)
    torch.testing.assert_close(high, expected)


@pytest.mark.slow
def test_a_convolutional_network_ends_at_the_last_stage_that_it_names() -> None:
    """Up to stride 16 of EfficientNet-Lite0, a quarter of its weights; the stages that are left give the same."""
    whole, cut = (build(small("tf_efficientnet_lite0", output_stride=32, **s)) for s in ({}, {"high_blocks": (3,)}))
    assert cut.backbone.high_stride == 16 and whole.backbone.high_stride == 32
    assert 4 * sum(p.numel() for p in cut.backbone.parameters()) < sum(p.numel() for p in whole.backbone.parameters())
    cut.backbone.load_state_dict({n: whole.backbone.state_dict()[n] for n in cut.backbone.state_dict()})
    with torch.no_grad():
        expected = whole.backbone.eval().net(whole.backbone.normalise(photos(64, 96)))[3]
        torch.testing.assert_close(cut.backbone.eval()(photos(64, 96))[1], expected)


def test_joined_stages() -> None:
    """At stride 32: low joins strides 4 and 8 at 4, high joins 16 and 32 at 16."""
    one, two = (build(small("test_resnet", output_stride=32, low_stages=n, high_stages=n)) for n in (1, 2))
    widths = dict(zip((4, 8, 16, 32), two.backbone.net.feature_info.channels()[1:], strict=True))
    assert (two.backbone.low_channels, two.backbone.low_stride) == (widths[4] + widths[8], 4)
    assert (two.backbone.high_channels, two.backbone.high_stride) == (widths[16] + widths[32], 16)
    with torch.no_grad():
        low, high = two.backbone(photos(64, 96))
        fine, coarse = one.backbone(photos(64, 96))
        assert two(photos(64, 96)).shape == (1, 1, 64, 96)
    assert low.shape == (1, widths[4] + widths[8], 16, 24)
    assert high.shape == (1, widths[16] + widths[32], 4, 6)
    # The same seed, so the same backbone: each stage is where it should be in the join.
    torch.testing.assert_close(low[:, : widths[4]], fine)
    torch.testing.assert_close(
        high[:, widths[16] :], F.interpolate(coarse, size=(4, 6), mode="bilinear", align_corners=False)
    )


@pytest.mark.parametrize("backbone", ["resnet10t", "vit_tiny_patch16_224"])
def test_colours_are_normalised_as_the_weights_want_it(backbone: str) -> None:
    """ImageNet's mean and deviation for the one, 0.5 for the other."""
    expected = {"resnet10t": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), "vit_tiny_patch16_224": ((0.5,) * 3,) * 2}
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in expected[backbone])
    seen: list[Tensor] = []
    declared = build(small(backbone)).backbone
    declared.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        declared(photos(32, 32))
    torch.testing.assert_close(seen[0], (photos(32, 32) - mean) / std)


@pytest.mark.parametrize(
    ("backbone", "settings"),
    [
        ("test_resnet", {"low_stages": 5}),
        ("test_resnet", {"high_stages": 4}),  # would take the stage of `low`
        ("test_resnet", {"high_stages": 6}),
        ("test_vit", {"high_stages": 7}),  # of 6 blocks
    ],
)
def test_too_many_stages(backbone: str, settings: dict[str, int]) -> None:
    with pytest.raises(HqmdError, match="too many") as refusal:
        build_model(small(backbone, **settings))
    assert backbone in str(refusal.value)


def test_unknown_backbone() -> None:
    with pytest.raises(HqmdError) as refusal:
        build_model(small("esnet50"))
    assert "'esnet50'" in str(refusal.value)
    assert "resnet50" in str(refusal.value)  # what may have been meant


def test_a_stride_that_the_backbone_does_not_have() -> None:
    with pytest.raises(HqmdError, match="vgg11"):
        build_model(small("vgg11", output_stride=8))


@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        ("swin_tiny_patch4_window7_224", (224, 224)),  # features (B, H, W, C)
        ("swin_tiny_patch4_window7_224", (289, 385)),  # made for 224 x 224 only
        ("hrnet_w18_small", (289, 385)),  # sides must be multiples of 32
    ],
)
def test_a_backbone_that_cannot_do_the_size_or_layout(backbone: str, size: tuple[int, int]) -> None:
    """Refused when it is built, not by a shape error in the middle of a forward pass."""
    with pytest.raises(HqmdError, match=backbone):
        build_model(small(backbone, size=size, output_stride=32))


@pytest.mark.parametrize(
    ("setting", "names"),
    [("decoder", list(DECODERS)), ("activation", list(ACTIVATIONS))],
    ids=["decoder", "activation"],
)
def test_an_unknown_part_lists_the_names(setting: str, names: list[str]) -> None:
    with pytest.raises(HqmdError) as refusal:
        build_model(small(**{setting: "nonesuch"}))
    for text in ("nonesuch", *names):
        assert text in str(refusal.value)


def full_model(backbone: str, seed: int = 9) -> Any:
    """timm's whole network, classifier and all, every tensor random (timm starts some at 0 or 1)."""
    net = timm.create_model(backbone).eval()
    generator = torch.Generator().manual_seed(seed)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(0.02 + 0.1 * torch.rand(tensor.shape, generator=generator))
    return net


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("backbone", ["test_resnet", "mobilenetv3_small_050", "test_convnext", "test_vit"])
def test_weights_from_a_file(backbone: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    full = full_model(backbone)
    state = full.state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    network = build(small(backbone, output_stride=32), str(path))

    own = network.backbone.net.state_dict()
    for name, tensor in own.items():
        twins = [t for n, t in state.items() if n.replace(".", "_") == name.removeprefix("model.").replace(".", "_")]
        assert len(twins) == 1, name
        assert torch.equal(tensor, twins[0]), name
    assert len(own) < len(state)  # the classifier stays in the file
    # And not by name alone: timm's own network with these weights sees the same in the picture.
    rgb = photos(64, 96) if backbone != "test_vit" else photos(160, 160)  # the size the whole transformer insists on
    with torch.no_grad():
        _, high = network.backbone(rgb)
        expected = full.forward_intermediates(network.backbone.normalise(rgb), intermediates_only=True)[-1]
    torch.testing.assert_close(high, expected)


def write_text_file(path: Path) -> None:
    path.write_text("these are not weights")


def write_truncated(path: Path) -> None:
    save_file(full_model("test_resnet").state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])


def write_list(path: Path) -> None:
    torch.save([1, 2, 3], path)


def write_program(path: Path) -> None:
    torch.save({"a": Path("b")}, path)


def write_numbers(path: Path) -> None:
    torch.save(dict.fromkeys(full_model("test_resnet").state_dict(), 0), path)


def write_incomplete(path: Path) -> None:
    state = full_model("test_resnet").state_dict()
    del state["layer3.0.conv2.weight"]
    save_file(state, path)


def write_misshapen(path: Path) -> None:
    state = full_model("test_resnet").state_dict()
    state["layer3.0.conv2.weight"] = state["layer3.0.conv2.weight"][:-1].clone()
    save_file(state, path)


def write_another_network(path: Path) -> None:
    save_file(full_model("test_convnext").state_dict(), path)


@pytest.mark.parametrize(
    ("write", "name", "complaint"),
    [
        (write_text_file, "weights.safetensors", "not a readable state dict"),
        (write_text_file, "weights.pth", "not a readable state dict"),
        (write_truncated, "weights.safetensors", "not a readable state dict"),
        (write_program, "weights.pth", "not a state dict of tensors alone, as torch.save writes it"),
        (write_list, "weights.pth", ""),
        (write_numbers, "weights.pth", ""),
        (write_incomplete, "weights.safetensors", "layer3.0.conv2.weight"),
        (write_misshapen, "weights.safetensors", "layer3.0.conv2.weight"),
        (write_another_network, "weights.safetensors", "missing or misshapen"),
        (Path.mkdir, "weights.safetensors", "no such"),
        (lambda path: None, "weights.safetensors", "no such"),
    ],
)
def test_unusable_weights_file(write: Callable[[Path], None], name: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(HqmdError) as refusal:
        build_model(small("test_resnet"), str(path))
    assert str(path) in str(refusal.value)
    assert complaint in str(refusal.value)


@pytest.mark.slow
def test_pretrained_weights_that_nobody_made() -> None:
    configs = ((name, timm.get_pretrained_cfg(name)) for name in timm.list_models("*resnet*"))
    untrained = next(name for name, made in configs if not (made.hf_hub_id or made.url))
    with pytest.raises(HqmdError, match="--backbone-weights") as refusal:
        build_model(small(untrained), "default")
    assert untrained in str(refusal.value)


@pytest.mark.slow
def test_default_weights_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached weights or none at all. (test_hub.py has, slow, a process that downloads them.)"""
    from huggingface_hub import constants

    cached, hub_id = "test_resnet", timm.get_pretrained_cfg("test_resnet").hf_hub_id
    state = full_model(cached).state_dict()
    snapshot = tmp_path / "hub" / f"models--{hub_id.replace('/', '--')}" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(state, snapshot / "model.safetensors")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)

    # What HF_HUB_OFFLINE and HF_HOME come to when the hub's client is imported.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    loaded = build_model(small(cached), "default").backbone.net.state_dict()
    assert len(loaded) > 80
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.items())
    for backbone in ("resnet50", "test_vit"):
        with pytest.raises(HqmdError, match="--backbone-weights") as refusal:
            build_model(small(backbone), "default")
        assert backbone in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.slow
def test_drop_path_reaches_the_backbone_and_rests_in_evaluation() -> None:
    torch.manual_seed(0)
    network = build_model(small("tf_efficientnet_lite0", output_stride=32, drop_path=0.5))
    photo = photos(64, 64, count=2)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(photo), network.eval()(photo), rtol=0, atol=0)
        deep = network.backbone.train()
        assert not torch.equal(deep(photo)[1], deep(photo)[1])
