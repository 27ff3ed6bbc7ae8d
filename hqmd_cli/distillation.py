"""A trained model as teacher: what it says of each augmented picture is a second ground truth.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (https://arxiv.org/abs/1503.02531), for a
regression: a pupil learns from smooth, complete depth of every picture that augmentation can make, which few labelled
photos do not offer.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hqmd_cli.checkpoints import load_checkpoint
from hqmd_cli.config import ModelConfig
from hqmd_cli.models.layers import resize

if TYPE_CHECKING:
    from hqmd_cli.models import Network


class Teacher:
    """RGB (B, 3, H, W) in 0..1 as the pupil sees it to (B, 1, H, W) metres.

    The teacher looks at the picture at its own scale, as it would in predict: enlarged by the ratio of the two
    networks' sides, its depth multiplied as predictor.DepthPredictor does.
    """

    def __init__(self, network: "Network", pupil: ModelConfig) -> None:
        self.network = network.eval().requires_grad_(False)
        side = network.config.shown_side
        self.enlarge, self.depth_factor = side / min(pupil.size), network.config.depth_factor(side)

    @classmethod
    def load(cls, checkpoint: Path, pupil: ModelConfig, device: torch.device) -> "Teacher":
        """From a checkpoint folder. Raises HqmdError as load_checkpoint does."""
        network, _ = load_checkpoint(checkpoint, device)
        return cls(network.to(memory_format=torch.channels_last), pupil)

    @torch.no_grad()
    def __call__(self, rgb: Tensor) -> Tensor:
        size = rgb.shape[-2:]
        height, width = (round(side * self.enlarge) for side in size)
        return resize(self.network(resize(rgb, (height, width))), size) * self.depth_factor
