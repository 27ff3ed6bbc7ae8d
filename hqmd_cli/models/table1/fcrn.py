"""FCRN, "Deeper Depth Prediction with Fully Convolutional Residual Networks" (Laina et al., 3DV 2016,
https://arxiv.org/abs/1606.00373): section 3, figure 1, with up-projections in their fast form (3.2, figures 2c and 3).

    photo            B x 3 x 228 x 304
    ResNet-50        B x 2048 x 8 x 10       stride 32, no average pooling
    narrow           B x 1024 x 8 x 10       1 x 1 convolution and batch norm; no ReLU, as in their code
    4 up-projections B x 64 x 128 x 160      twice the size, half the channels each
    logits           B x 1 x 128 x 160       dropout, 3 x 3 convolution

Left unsaid or changed, and how we decided:
- Their last map is compared with ground truth of its own size. Ours is brought to the photo's, bilinearly, as theirs is
  before it is measured: all systems here are trained on the same pixels.
- Their code ends in a ReLU, which gives no gradient at 0 and depths of 0. Ours ends in config.activation (softplus).
- The dropout's rate: one half, Hinton's.
- The loss, BerHu with c a fifth of the batch's largest error (3.3), is the loss `depth`, and so are its holes.
- "Gradually reduced every 6 to 8 epochs" (4.1): here to a tenth after 7 of their epochs, of 95 000 pictures.
Unused of ModelConfig: decoder, low_*, high_*, aspp_*, fuse_channels.
"""

from itertools import pairwise

from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models.backbone import StageBackbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.network import ACTIVATIONS
from hqmd_cli.models.table1.up_projection import UnpooledProjection
from hqmd_cli.registry import pick

UP_PROJECTIONS = 4  # figure 1
DROPOUT = 0.5
BATCH_SIZE = 16  # 4.1
STEPS_OF_7_EPOCHS = 7 * 95_000 // BATCH_SIZE  # 4.1: about 95k pictures


class FCRN(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up."""

    paper = Paper(
        "Laina et al. 2016",
        "https://arxiv.org/abs/1606.00373",
        model={"size": (228, 304), "output_stride": 32},
        training={
            "loss": "depth",
            "optimizer": "sgd",
            "lr": 1e-2,
            "momentum": 0.9,
            "batch_size": BATCH_SIZE,
            "epochs": 20,
            "lr_decay": 0.1,
            "lr_decay_steps": STEPS_OF_7_EPOCHS,
        },
        weights="github.com/iro-cp/FCRN-DepthPrediction, Simplified BSD (MatConvNet, TensorFlow)",
    )
    backbone: StageBackbone

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        activation = pick(ACTIVATIONS, config.activation, "activation")
        self.to_metres = activation.to_metres
        self.backbone = build_stages(config, backbone_weights)
        widths = [max(self.backbone.high_channels >> (1 + i), 1) for i in range(1 + UP_PROJECTIONS)]
        self.narrow = nn.Sequential(
            nn.Conv2d(self.backbone.high_channels, widths[0], 1, bias=False), nn.BatchNorm2d(widths[0])
        )
        self.up = nn.Sequential(*(UnpooledProjection(*pair) for pair in pairwise(widths)))
        self.dropout = nn.Dropout(DROPOUT)
        self.logits = FullPrecisionConv(widths[-1], 1, 3, padding=1)
        activation.start(self.logits)

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres."""
        deepest = self.backbone.stages(rgb)[-1]
        logits = self.logits(self.dropout(self.up(self.narrow(deepest))))
        return Estimate(resize(self.to_metres(logits), rgb.shape[-2:]))
