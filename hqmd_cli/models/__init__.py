"""Decoders by name. A new one is one file and one line here; its class takes (config, low_channels)."""

from typing import TYPE_CHECKING

from hqmd_cli.config import ModelConfig

if TYPE_CHECKING:
    from hqmd_cli.models.network import DepthNetwork

DECODERS = {
    "baseline": "hqmd_cli.models.baseline:BaselineDecoder",
    "baseline+": "hqmd_cli.models.baseline_plus:BaselinePlusDecoder",
}


def build_model(config: ModelConfig, backbone_weights: str = "none") -> "DepthNetwork":
    """Compose the network that `config` describes; `backbone_weights` as in backbone.build_backbone.

    Raises HqmdError for names that do not exist and for weights that cannot be had.
    """
    from hqmd_cli.models.network import DepthNetwork

    return DepthNetwork(config, backbone_weights)
