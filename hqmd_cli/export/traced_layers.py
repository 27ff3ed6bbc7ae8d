"""Layers that stand in for timm's while a network is traced, so that each becomes one operator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hqmd_cli.errors import HqmdError

WIDELY_KNOWN = 18  # a version of ONNX's operators that runtimes have known for years


@contextmanager
def traceable(network: nn.Module, for_onnx_runtime: bool) -> Iterator[None]:
    """While inside, replace the network's layers that are one operator of ONNX by their stand-ins.

    for_onnx_runtime: also those that are one operator of ONNX Runtime alone.
    """
    from timm.layers.conv2d_same import Conv2dSame
    from timm.models.vision_transformer import Attention

    def stand_in(part: nn.Module) -> nn.Module | None:
        if isinstance(part, Conv2dSame):
            return SameConv(part)
        if isinstance(part, Attention) and for_onnx_runtime and is_plain(part):
            return OneAttention(part)
        return None

    places = [
        (parent, name, child, simple)
        for parent in network.modules()
        for name, child in parent.named_children()
        if (simple := stand_in(child)) is not None
    ]
    for parent, name, _, simple in places:
        setattr(parent, name, simple)
    try:
        yield
    finally:
        for parent, name, child, _ in places:
            setattr(parent, name, child)


class SameConv(nn.Module):
    """ONNX's operator Conv with auto_pad SAME_UPPER, which pads as TensorFlow does.

    TensorFlow's padding depends on the size. In a plain trace, each layer wraps the symbolic size before it in a
    ceiling and a maximum, which take torch five minutes to solve instead of seconds.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride = conv.stride
        self.attributes: dict[str, Any] = {
            "auto_pad": "SAME_UPPER",
            "strides": list(conv.stride),
            "dilations": list(conv.dilation),
            "group": conv.groups,
        }

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        down, across = self.stride
        shape = (batch, self.weight.shape[0], (height + down - 1) // down, (width + across - 1) // across)
        inputs = [x, self.weight] if self.bias is None else [x, self.weight, self.bias]
        return torch.onnx.ops.symbolic(
            "Conv", inputs, self.attributes, dtype=x.dtype, shape=shape, version=WIDELY_KNOWN
        )


class OneAttention(nn.Module):
    """A transformer's attention as ONNX Runtime's operator MultiHeadAttention, which takes all heads side by side.

    A plain trace cuts queries, keys and values out of one array and moves them into place, head by head. In ONNX
    Runtime 1.32, ONNX's own operator Attention holds a number for every pair of tokens: 33 GB for a photo of 4 : 1 at
    a side of 1,344 pixels. MultiHeadAttention works block by block on the CPU. OpenVINO knows neither, but refuses a
    whole network with Attention, and leaves MultiHeadAttention to the CPU.
    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.attributes = {"num_heads": attention.num_heads}

    def forward(self, x: Tensor, attn_mask: None = None, is_causal: bool = False) -> Tensor:
        """(B, tokens, channels) -> (B, tokens, channels). Raises HqmdError for a mask: every token sees every other."""
        if attn_mask is not None or is_causal:
            raise HqmdError("this network masks its attention, which cannot be exported")
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        inputs, shape = [query, key, value], tuple(query.shape)
        heads = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention", inputs, self.attributes, dtype=x.dtype, shape=shape, version=1
        )
        return self.proj(heads)


def is_plain(attention: Any) -> bool:
    """True if timm's attention, outside training, is just softmax(Q K^T / sqrt(channels of a head)) V."""
    extras = ("q_norm", "k_norm", "norm", "gate")  # the oldest supported timm lacks some of them
    plain = all(isinstance(getattr(attention, extra, None), nn.Identity | None) for extra in extras)
    return plain and attention.scale == attention.head_dim**-0.5
