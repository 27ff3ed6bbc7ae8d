"""From a photo to its depth map: what predict, evaluate, compare and validation all call."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hqmd_cli.checkpoints import load_checkpoint
from hqmd_cli.device import pick_device
from hqmd_cli.models.network import DepthNetwork
from hqmd_cli.transforms import Preprocess


class DepthPredictor:
    """A network with its preprocessing: (H, W, 3) uint8 RGB -> (H, W) float32 metres."""

    def __init__(self, network: DepthNetwork, device: torch.device) -> None:
        self.network = network.eval()
        self.device = device
        self.preprocess = Preprocess(network.config.size)

    @classmethod
    def load(cls, checkpoint: Path, device: str = "auto") -> "DepthPredictor":
        """Open a checkpoint folder (hub.find_checkpoint gives one for a name)."""
        chosen = pick_device(device)
        network, _ = load_checkpoint(checkpoint, chosen)
        return cls(network.to(memory_format=torch.channels_last), chosen)

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth of one photo, at the photo's own size; brought back to it bilinearly."""
        rgb = torch.from_numpy(self.preprocess(image))[None].to(self.device, memory_format=torch.channels_last)
        depth_m = self.network(rgb)[0, 0].float().cpu().numpy()
        return cv2.resize(depth_m, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
