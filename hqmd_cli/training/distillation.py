"""Distillation: a trained model predicts depth for each augmented picture, as a second ground truth.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (https://arxiv.org/abs/1503.02531), applied to
regression. Few labelled photos have smooth, complete depth; the teacher gives it for every augmented picture.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.inference.engines.pytorch import use_bfloat16_backbones
from hqmd_cli.inference.predictor import passes_of
from hqmd_cli.models.layers import geometric_mean, resize

if TYPE_CHECKING:
    from hqmd_cli.models import Network


class Teacher:
    """A frozen network that predicts metres (B, 1, H, W) for the pupil's batch: RGB (B, 3, H, W) in 0..1.

    It sees a picture as predict shows it a photo: same passes, same calibration, same average as DepthPredictor, but in
    torch and for a batch.
    """

    def __init__(self, network: "Network", model: ModelConfig) -> None:
        self.network, self.model = network.eval().requires_grad_(False), model
        self.passes = passes_of(model, model.shown_sides, model.view.flip)

    @classmethod
    def load(cls, checkpoint: Path, device: torch.device, bfloat16: bool = False) -> "Teacher":
        """Open a checkpoint folder; with `bfloat16` its backbones compute in that format.

        Raises HqmdError if the checkpoint cannot be read.
        """
        network, info = load_checkpoint(checkpoint, device)
        if bfloat16:
            use_bfloat16_backbones(network)
        return cls(network.to(memory_format=torch.channels_last), info.model)

    @torch.no_grad()
    def __call__(self, rgb: Tensor) -> Tensor:
        return geometric_mean([self.depth_at(p.working_size(*rgb.shape[-2:]), rgb, m) for p, m in self.passes])

    def depth_at(self, seen: tuple[int, int], rgb: Tensor, mirrored: tuple[bool, ...]) -> Tensor:
        """Return calibrated depth of pictures seen at size (h, w), averaged over plain and mirrored passes."""
        picture = resize(rgb, seen)
        depths = [self.network(picture.flip(-1)).flip(-1) if turned else self.network(picture) for turned in mirrored]
        depth_m = torch.stack(depths).mean(dim=0)
        factor, power = self.model.depth_law(min(seen))
        return factor * resize(depth_m, rgb.shape[-2:]) ** power
