"""Backbones: one contract, `image -> (low, high)`.

A backbone is a module with

    low_channels, high_channels   channels of the two features
    low_stride, high_stride       their strides in pixels of the picture

that takes RGB (B, 3, H, W) in 0..1, normalises it as its weights need it, and returns

    low   (B, low_channels, H / low_stride, W / low_stride)     fine: where edges are
    high  (B, high_channels, H / high_stride, W / high_stride)  coarse: what things are

For example ResNet-50 at output stride 16 turns 1 x 3 x 289 x 385 into low 1 x 256 x 73 x 97 (stride 4) and
high 1 x 2048 x 19 x 25 (stride 16). The networks are timm's (https://github.com/huggingface/pytorch-image-models).
"""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import timm
import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.hub_client import hub_is_silent, patient_hub
from hqmd_cli.models.layers import ConvBNReLU, resize
from hqmd_cli.models.pretrained import without_weights

PRETRAINED = ("model.safetensors", "pytorch_model.bin")  # files in which timm publishes weights
T = TypeVar("T")
LOW_STRIDE = 4  # the paper decodes at 1/4 resolution


class Backbone(nn.Module):
    """Base of all backbones: timm's network, and the normalisation that its weights were trained with."""

    low_channels: int
    high_channels: int
    low_strides: list[int]  # of the maps that are joined to `low`
    high_strides: list[int]  # of the maps that are joined to `high`

    def __init__(self, name: str, net: Any) -> None:
        super().__init__()
        self.net = net
        normalisation: Any = timm.get_pretrained_cfg(name)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(normalisation.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(normalisation.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in 0..1 -> low, high."""
        low, high = self.maps(rgb)
        return join(low), join(high)

    def maps(self, rgb: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps that are joined to `low` and to `high`, at low_strides and high_strides, the finest first."""
        raise NotImplementedError

    @property
    def low_stride(self) -> int:
        """Stride of `low`, in pixels of the picture."""
        return self.low_strides[0]

    @property
    def high_stride(self) -> int:
        """Stride of `high`, in pixels of the picture."""
        return self.high_strides[0]

    def normalise(self, rgb: Tensor) -> Tensor:
        """Bring RGB in 0..1 to the range that the pretrained weights were trained with."""
        return (rgb - self.mean) / self.std


def join(maps: Sequence[Tensor]) -> Tensor:
    """Concatenate maps along the channels, at the size of the first."""
    return torch.cat([maps[0], *(resize(f, maps[0].shape[-2:]) for f in maps[1:])], dim=1)


def picked(stages: Sequence[T], numbers: Iterable[int]) -> list[T]:
    """Return the stages of these numbers."""
    return [stages[n] for n in numbers]


class PyramidBackbone(Backbone):
    """A network with features at several strides, including 4: nearly every convolutional one.

    `low` joins `low_stages` stages from stride 4 on, `high` the deepest `high_stages`, or those of `high_blocks`, at
    the size of the finest one. The paper uses one stage each.
    """

    def __init__(self, config: NetworkConfig, net: Any) -> None:
        super().__init__(config.backbone, net)
        strides, channels = net.feature_info.reduction(), net.feature_info.channels()
        first = strides.index(LOW_STRIDE)
        self.low_part = range(first, first + config.low_stages)
        self.high_part = config.high_blocks or range(len(strides) - config.high_stages, len(strides))
        if min(self.high_part) <= first or self.low_part.stop > len(strides):
            raise HqmdError(
                f"{config.backbone} has features at strides {strides}: "
                f"{config.low_stages} low and {len(self.high_part)} high stages are too many"
            )
        self.low_strides, self.high_strides = picked(strides, self.low_part), picked(strides, self.high_part)
        self.low_channels = sum(picked(channels, self.low_part))
        self.high_channels = sum(picked(channels, self.high_part))

    def maps(self, rgb: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features = self.net(self.normalise(rgb))
        return picked(features, self.low_part), picked(features, self.high_part)


class PlainBackbone(Backbone):
    """A vision transformer, whose features all have the stride of its patches (14 for DINOv2).

    `high` joins the outputs of `high_blocks`, or of `high_stages` evenly spaced blocks up to the last. No block has 1/4
    of the resolution, so `low` comes from a small convolutional stem on the picture, trained from scratch.
    """

    STEM_CHANNELS = 48

    def __init__(self, config: NetworkConfig, net: Any) -> None:
        super().__init__(config.backbone, net)
        self.low_channels, self.high_channels = self.STEM_CHANNELS, sum(net.feature_info.channels())
        self.low_strides, self.high_strides = [LOW_STRIDE], [net.feature_info.reduction()[-1]]
        self.stem = nn.Sequential(
            nn.Conv2d(3, 24, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(24, self.STEM_CHANNELS, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            ConvBNReLU(self.STEM_CHANNELS, self.STEM_CHANNELS, kernel=3),
        )

    def maps(self, rgb: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return one map each. The transformer sees the sides rounded to whole patches."""
        rgb = self.normalise(rgb)
        patch = self.high_stride  # in whole numbers, which an exported graph has, too
        height, width = ((side + patch // 2) // patch * patch for side in rgb.shape[-2:])
        return [self.stem(rgb)], [join(self.net(resize(rgb, (height, width))))]


class StageBackbone(Backbone):
    """A convolutional network with the features of all its stages, for systems that choose among them."""

    def __init__(self, config: NetworkConfig, net: Any) -> None:
        super().__init__(config.backbone, net)
        self.channels: list[int] = net.feature_info.channels()
        self.strides: list[int] = net.feature_info.reduction()
        self.low_channels, self.high_channels = self.channels[0], self.channels[-1]
        self.low_strides, self.high_strides = self.strides[:1], self.strides[-1:]

    def stages(self, rgb: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in 0..1 -> (B, channels[i], H / strides[i], W / strides[i]) for each stage, finest first."""
        return self.net(self.normalise(rgb))

    def maps(self, rgb: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the finest and the deepest stage."""
        features = self.stages(rgb)
        return features[:1], features[-1:]


Pyramid = type[PyramidBackbone] | type[StageBackbone]


def build_stages(config: NetworkConfig, weights: str | None) -> StageBackbone:
    """Create the backbone named in `config` with all its stages; raises HqmdError as build_backbone, and for a ViT."""
    return build_backbone(config, weights, StageBackbone)


def build_backbone(config: NetworkConfig, weights: str | None, pyramid: Pyramid = PyramidBackbone) -> Any:
    """Create the backbone named in `config`; `pyramid` is the class for networks with features at several strides.

    `weights`: "default" (timm's pretrained ones, from the Hugging Face hub), "none" (random), or the path of a timm
    state dict (.safetensors, or a file by torch.save). None is for a checkpoint, whose backbone was checked when it was
    trained and whose weights the caller loads. Raises HqmdError if the name is unknown or the weights are missing or
    incomplete: random weights never take their place.
    """
    require_known(config.backbone)
    pretrained = weights == "default"
    try:
        layout = layout_of(config.backbone)
        if LOW_STRIDE in layout.feature_info.reduction():
            if weights is not None:
                refuse_unusable(config.backbone, config.size)
            stride: dict[str, Any] = {} if config.output_stride == 32 else {"output_stride": config.output_stride}
            if config.high_blocks:
                stride["out_indices"] = range(max(config.high_blocks) + 1)
            if config.drop_path:
                stride["drop_path_rate"] = config.drop_path
            with patient_hub() if pretrained else nullcontext():
                net = timm.create_model(config.backbone, features_only=True, pretrained=pretrained, **stride)
            if config.high_blocks:
                cut_behind_last(net)
            backbone: Any = pyramid(config, net)
        elif pyramid is StageBackbone:
            raise HqmdError(f"{config.backbone} has no features at stride {LOW_STRIDE}, which {config.system} needs")
        else:
            blocks = len(layout.model.blocks)
            if config.high_stages > blocks or config.low_stages > 1:
                raise HqmdError(
                    f"{config.backbone} has {blocks} blocks for `high` and one stem for `low`: too many stages"
                )
            even = [blocks * (i + 1) // config.high_stages - 1 for i in range(config.high_stages)]
            net = plain_blocks(config.backbone, config.high_blocks or even, pretrained, config.drop_path)
            backbone = PlainBackbone(config, net)
    except HqmdError:
        raise
    except Exception as error:  # timm and the hub raise many types; the remedy is the same
        if pretrained:
            raise without_weights(config.backbone, first_line(error)) from error
        raise HqmdError(f"{config.backbone}: cannot be used as a backbone: {first_line(error)}") from error
    if weights not in ("default", "none", None):
        load_backbone_file(backbone.net, Path(weights))
    return backbone


def require_pretrained(name: str) -> None:
    """Download a backbone's pretrained weights into the hub's cache, unless they are there.

    Raises HqmdError within seconds if timm has no such backbone, or the hub does not answer: called before the data is
    read, which may take minutes.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    require_known(name)
    repo, _, revision = (getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None) or "").partition("@")
    if not repo:
        return  # timm knows another place
    if any(isinstance(try_to_load_from_cache(repo, file, revision=revision or None), str) for file in PRETRAINED):
        return
    if silent := hub_is_silent():
        raise without_weights(name, silent)
    try:
        with patient_hub():
            hf_hub_download(repo, PRETRAINED[0], revision=revision or None)
    except Exception as error:  # the hub's client raises many types
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            return  # published in another file, which timm finds
        raise without_weights(name, first_line(error)) from error


def require_known(name: str) -> None:
    """Raise HqmdError, which names similar ones, if timm has no such backbone."""
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name}*")[:5])
        raise HqmdError(f"timm has no backbone {name!r}" + (f"; near it: {close}" if close else ""))


def cut_behind_last(net: Any) -> None:
    """Drop the blocks behind the deepest feature, which timm keeps in networks of the EfficientNet family."""
    group, _, number = net.feature_info.module_name()[-1].partition(".")
    if number and isinstance(blocks := getattr(net, group, None), nn.Sequential):
        setattr(net, group, blocks[: int(number) + 1])


def plain_blocks(name: str, blocks: Sequence[int], pretrained: bool, drop_path: float) -> Any:
    """Create timm's vision transformer `name` up to the last of `blocks`; it returns the blocks' outputs as maps."""
    with patient_hub() if pretrained else nullcontext():
        return timm.create_model(
            name,
            features_only=True,
            out_indices=list(blocks),
            pretrained=pretrained,
            dynamic_img_size=True,
            drop_path_rate=drop_path,
        )


@cache
def layout_of(name: str) -> Any:
    """Return timm's network on the meta device: strides and shapes without values. Raises timm's own errors."""
    with torch.device("meta"):
        return timm.create_model(name, features_only=True).eval()  # batch norm in training refuses 1 x 1 maps


@cache
def refuse_unusable(name: str, size: tuple[int, int]) -> None:
    """Raise an error now, not during training, for a network of one input size, or with features (B, H, W, C).

    Raises timm's own errors, or HqmdError.
    """
    layout = layout_of(name)
    features = layout(torch.empty(1, 3, *size, device="meta"))
    layout(torch.empty(1, 3, size[0], size[1] + 37, device="meta"))  # photos have many sizes
    if [feature.shape[1] for feature in features] != layout.feature_info.channels():
        raise HqmdError(f"{name} cannot be used as a backbone: its features are not (B, C, H, W)")


def load_backbone_file(net: nn.Module, path: Path) -> None:
    """Copy every tensor of `net` from a timm state dict. Raises HqmdError for missing tensors and other shapes.

    timm's feature extractors rename `blocks.0` to `blocks_0` or prefix `model.`; the comparison ignores both. Tensors
    that only the classifier needs stay in the file.
    """
    from safetensors.torch import load_file

    def plain(name: str) -> str:
        return name.removeprefix("model.").replace("_", ".")

    if not path.is_file():
        raise HqmdError(f"{path}: no such backbone weights; pass a file, default or none")
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except UnpicklingError as error:  # whose text advises to let the file run code
        raise HqmdError(f"{path}: not a state dict of tensors alone, as torch.save writes it") from error
    except Exception as error:
        raise HqmdError(f"{path}: not a readable state dict: {first_line(error)}") from error
    entries = state.items() if isinstance(state, dict) else ()
    found = {plain(str(name)): value for name, value in entries if isinstance(value, Tensor)}
    own = net.state_dict()
    wrong = [n for n, t in own.items() if plain(n) not in found or found[plain(n)].shape != t.shape]
    if wrong:
        raise HqmdError(
            f"{path}: not weights for this backbone: {len(wrong)} of {len(own)} tensors are missing or misshapen, "
            f"such as {wrong[0]}"
        )
    if broken := [n for n in own if not found[plain(n)].isfinite().all()]:
        raise HqmdError(f"{path}: {broken[0]} holds values that are not finite; the weights are damaged, or diverged")
    net.load_state_dict({name: found[plain(name)] for name in own})
