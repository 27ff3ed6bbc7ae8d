"""The network in torch, on any device."""

import numpy as np
import torch
from numpy.typing import NDArray

from hqmd_cli.models.network import DepthNetwork


class TorchEngine:
    """(h, w, 3) uint8 RGB -> (h, w) float32 metres."""

    def __init__(self, network: DepthNetwork, device: torch.device) -> None:
        self.network = network.to(memory_format=torch.channels_last).eval()
        self.device = device

    @torch.inference_mode()
    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        rgb = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device)[None]
        return PhotoToDepth(self.network)(rgb)[0].float().cpu().numpy()


class PhotoToDepth(torch.nn.Module):
    """The network between bytes and metres, as both engines compute it: (B, h, w, 3) uint8 -> (B, h, w) metres."""

    def __init__(self, network: DepthNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return self.network(rgb.permute(0, 3, 1, 2).float() / 255)[:, 0]
