"""FCRN: Laina et al., "Deeper Depth Prediction with Fully Convolutional Residual Networks" (3DV 2016,
https://arxiv.org/abs/1606.00373), section 3 and figure 1, with the fast up-projections of section 3.2.

    photo            B x 3 x 228 x 304
    ResNet-50        B x 2048 x 8 x 10       stride 32, no average pooling
    narrow           B x 1024 x 8 x 10       1 x 1 convolution and batch norm; no ReLU, as in their code
    4 up-projections B x 64 x 128 x 160      each doubles the size and halves the channels
    logits           B x 1 x 128 x 160       dropout, 3 x 3 convolution

Our choices where the paper is silent or where we differ:
- They compare the last map with ground truth of its own size. We enlarge it bilinearly to the photo's size, as they do
  before they measure: all systems here are trained on the same pixels.
- Their code ends in a ReLU, which has no gradient at 0 and allows a depth of 0. Ours ends in config.activation.
- The dropout rate is 0.5, as in Hinton et al.
- Their loss is BerHu, with c a fifth of the batch's largest error (3.3): our loss `depth`.
- "Gradually reduced every 6 to 8 epochs" (4.1): we divide the rate by ten after 7 of their epochs of 95,000 pictures.

Settings without effect: decoder, low_*, high_*, aspp_*, fuse_channels.
"""

from itertools import pairwise

from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.base import Paper
from hqmd_cli.models.table1.encoder_decoder import EncoderDecoder
from hqmd_cli.models.table1.up_projection import UnpooledProjection, halved

UP_PROJECTIONS = 4  # figure 1
DROPOUT = 0.5
BATCH_SIZE = 16  # 4.1
STEPS_OF_7_EPOCHS = 7 * 95_000 // BATCH_SIZE  # 4.1: about 95k pictures


class FCRN(EncoderDecoder):
    """Decode the deepest map alone, by four up-projections."""

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

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config, backbone_weights)
        deepest = self.backbone.high_channels
        widths = halved(deepest, UP_PROJECTIONS)
        self.narrow = nn.Sequential(nn.Conv2d(deepest, widths[0], 1, bias=False), nn.BatchNorm2d(widths[0]))
        self.up = nn.Sequential(*(UnpooledProjection(*pair) for pair in pairwise(widths)))
        self.dropout = nn.Dropout(DROPOUT)
        self.add_logits(widths[-1])

    def decode(self, features: list[Tensor]) -> Tensor:
        return self.dropout(self.up(self.narrow(features[-1])))
