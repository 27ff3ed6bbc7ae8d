"""Systems and decoders by name. A new one is one file and one line here.

A system is a whole network that trains, as base.py says. The decoders are those of our own, "hqmd": classes that take
(config, low_channels); their forward takes (low, context, size) and returns logits (B, ordinal.logit_channels, H, W),
made by a last layer, `logits`, whose bias the network sets so that training starts at a plausible depth.
"""

from typing import TYPE_CHECKING, TypeAlias

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.registry import resolve

if TYPE_CHECKING:
    from hqmd_cli.models.base import DepthModel
    from hqmd_cli.models.ensemble import Committee

    Network: TypeAlias = DepthModel | Committee

SYSTEMS = {
    "hqmd": "hqmd_cli.models.network:DepthNetwork",
    "fcrn": "hqmd_cli.models.table1.fcrn:FCRN",
    "hu": "hqmd_cli.models.table1.hu:Hu",
    "dorn": "hqmd_cli.models.table1.dorn:DORN",
    "eigen2014": "hqmd_cli.models.table1.eigen2014:Eigen2014",
    "eigen2015": "hqmd_cli.models.table1.eigen2015:Eigen2015",
    "d3net": "hqmd_cli.models.table1.d3net:D3Net",
    "moukari": "hqmd_cli.models.table1.moukari:Moukari",
    "mscrf-unified": "hqmd_cli.models.table1.mscrf:Unified",
    "mscrf-cascade": "hqmd_cli.models.table1.mscrf:Cascade",
    "dcnf": "hqmd_cli.models.table1.dcnf:Dcnf",
    "make3d": "hqmd_cli.models.table1.make3d:Make3d",
    "make3d-laplacian": "hqmd_cli.models.table1.make3d:Make3dLaplacian",
}

DECODERS = {
    "baseline": "hqmd_cli.models.decoders:BaselineDecoder",
    "baseline+": "hqmd_cli.models.decoders:BaselinePlusDecoder",
}


def build_model(config: ModelConfig, backbone_weights: str | None = "none") -> "Network":
    """Compose the network that `config` describes; `backbone_weights` as in backbone.build_backbone.

    Raises HqmdError for names that do not exist and for weights that cannot be had.
    """
    from hqmd_cli.models.ensemble import Committee

    return Committee(config, backbone_weights) if config.also else build_system(config, backbone_weights)


def build_system(config: ModelConfig, backbone_weights: str | None = "none") -> "DepthModel":
    """The same of one network, without those it may be averaged with."""
    return resolve(SYSTEMS, config.system, "model")(config, backbone_weights)
