"""Decoders by name. A new one is one file and one line here.

A decoder class takes (config, low_channels); its forward takes (low, context, size) and returns logits (B, 1, H, W),
made by its last layer, `logits`, whose bias the network sets so that training starts at a plausible depth.
"""

from typing import TYPE_CHECKING, TypeAlias

from hqmd_cli.config import ModelConfig

if TYPE_CHECKING:
    from hqmd_cli.models.committee import Committee
    from hqmd_cli.models.network import DepthNetwork

    Network: TypeAlias = DepthNetwork | Committee

DECODERS = {
    "baseline": "hqmd_cli.models.baseline:BaselineDecoder",
    "baseline+": "hqmd_cli.models.baseline_plus:BaselinePlusDecoder",
}


def build_model(
    config: ModelConfig, backbone_weights: str | None = "none", guide_weights: str | None = "none"
) -> "Network":
    """Compose the network that `config` describes; both weights as in backbone.build_backbone.

    Raises HqmdError for names that do not exist and for weights that cannot be had.
    """
    from hqmd_cli.models.committee import Committee
    from hqmd_cli.models.network import DepthNetwork

    return Committee(config, backbone_weights) if config.also else DepthNetwork(config, backbone_weights, guide_weights)
