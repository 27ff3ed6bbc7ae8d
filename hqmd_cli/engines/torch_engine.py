"""The network in torch, on any device."""

from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hqmd_cli.errors import HqmdError
from hqmd_cli.models.backbone import Backbone


class TorchEngine:
    """(h, w, 3) uint8 RGB -> (h, w) float32 metres.

    `compiled` lets torch.compile make code for this network: the first photo of a size takes a minute, the rest less.
    """

    def __init__(self, network: nn.Module, device: torch.device, compiled: bool = False) -> None:
        network = network.to(memory_format=torch.channels_last).eval()
        photo_to_depth = PhotoToDepth(network)
        self.photo_to_depth = torch.compile(photo_to_depth, dynamic=True) if compiled else photo_to_depth
        self.device, self.name = device, f"torch on {device}"
        self.lock = Lock()  # one photo at a time: torch spreads each over all cores, or the whole GPU

    @torch.inference_mode()
    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        rgb = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device)[None]
        try:
            with self.lock:
                return self.photo_to_depth(rgb)[0].cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise HqmdError(f"no memory left on {self.device} at {picture.shape[:2]} pixels: lower --side") from error


class PhotoToDepth(nn.Module):
    """The network between bytes and metres, as both engines compute it: (B, h, w, 3) uint8 -> (B, h, w) metres."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor:
        return self.network(rgb.permute(0, 3, 1, 2).float() / 255)[:, 0]


class ShortBackbone(nn.Module):
    """A backbone in bfloat16. Only the backbone: eight bits of a depth's logarithm would be steps of 2 cm at 5 m."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(rgb.device.type, torch.bfloat16):
            low, high = self.backbone(rgb)
        return low.float(), high.float()


def with_short_backbones(network: nn.Module) -> None:
    """Wrap each backbone of the network, or the committee, in place."""
    for part in list(network.modules()):
        if isinstance(getattr(part, "backbone", None), Backbone):
            part.backbone = ShortBackbone(part.backbone)  # type: ignore[arg-type]
