"""A trained model as teacher: what it says of each augmented picture is a second ground truth.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (https://arxiv.org/abs/1503.02531), for a
regression: a pupil learns from smooth, complete depth of every picture that augmentation can make, which few labelled
photos do not offer.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import side_views
from hqmd_cli.geometry.resize import Preprocess
from hqmd_cli.inference.engines.pytorch import use_bfloat16_backbones
from hqmd_cli.models.layers import resize

if TYPE_CHECKING:
    from hqmd_cli.models import Network


class Teacher:
    """RGB (B, 3, H, W) in 0..1 as the pupil sees it to (B, 1, H, W) metres.

    The teacher looks at the picture as it would at a photo in predict: at its own sides, rounded to its multiples,
    mirrored, too, where its checkpoint wants that, its depth calibrated and averaged as predictor.DepthPredictor does.
    """

    def __init__(self, network: "Network", model: ModelConfig) -> None:
        self.network, self.model = network.eval().requires_grad_(False), model
        self.views = side_views(model.shown_sides, model.view.flip)

    @classmethod
    def load(cls, checkpoint: Path, device: torch.device, short: bool = False) -> "Teacher":
        """From a checkpoint folder; `short`: its backbones compute in bfloat16. Raises HqmdError as load_checkpoint."""
        network, info = load_checkpoint(checkpoint, device)
        if short:
            use_bfloat16_backbones(network)
        return cls(network.to(memory_format=torch.channels_last), info.model)

    @torch.no_grad()
    def __call__(self, rgb: Tensor) -> Tensor:
        logs = [self.at(side, rgb, mirrored).log() for side, mirrored in self.views]
        return torch.stack(logs).mean(dim=0).exp()

    def at(self, side: int, rgb: Tensor, mirrored: tuple[bool, ...]) -> Tensor:
        """Its depth as it sees the picture at one of its sides, plain, mirrored or both."""
        size = rgb.shape[-2:]
        seen = Preprocess((side, side), self.model.compute.size_multiple).working_size(*size)
        picture = resize(rgb, seen)
        depths = [self.network(picture.flip(-1)).flip(-1) if turned else self.network(picture) for turned in mirrored]
        depth_m = torch.stack(depths).mean(dim=0)
        factor, power = self.model.depth_law(min(seen))
        return factor * resize(depth_m, size) ** power
