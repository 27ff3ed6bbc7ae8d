"""Systems and decoders by name. A new one is one file and one line here.

A system is a whole network that trains (base.py). Decoders belong to our own system, "hqmd": a decoder is a class that
takes (config, low_channels). Its forward takes (low, context, size), and returns logits (B, logit_channels, H, W) from
a last layer, `logits`, whose bias the network sets so that training starts at a plausible depth.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, TypeAlias

from hqmd_cli.config.network import OURS, ModelConfig
from hqmd_cli.registry import Registry, resolve

if TYPE_CHECKING:
    from hqmd_cli.models.base import DepthModel
    from hqmd_cli.models.ensemble import Ensemble

    Network: TypeAlias = DepthModel | Ensemble

SYSTEMS = Registry(
    "hqmd.models",
    {
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
        "make3d-planes": "hqmd_cli.models.table1.make3d_planes:Make3dPlanes",
    },
    needs=("paper",),
)
BY_OTHERS = "hqmd_cli.models.foreign_network:ForeignNetwork"  # not for --model: a run begins with one by --start
STRIDED = "hqmd_cli.models.strided:StridedDepthNetwork"  # takes the place of "hqmd" with Compute.coarse_first

DECODERS = {
    "baseline": "hqmd_cli.models.decoders:BaselineDecoder",
    "baseline+": "hqmd_cli.models.decoders:BaselinePlusDecoder",
}


def build_model(config: ModelConfig, backbone_weights: str | None = "none") -> "Network":
    """Build the network, or the ensemble, that `config` describes; `backbone_weights` as in backbone.build_backbone.

    Raises HqmdError for names that do not exist and for weights that cannot be read or downloaded.
    """
    from hqmd_cli.models.ensemble import Ensemble

    networks = [build_system(member, backbone_weights) for member in config.members]
    return Ensemble(networks, config) if config.others else networks[0]


def build_system(config: ModelConfig, backbone_weights: str | None = "none") -> "DepthModel":
    """Build one network; `config.others` is ignored."""
    strided = config.compute.coarse_first and config.network.system == OURS
    if config.transformers:
        return resolve_name(BY_OTHERS)(config.network, config.transformers)
    build = resolve_name(STRIDED) if strided else resolve(SYSTEMS, config.network.system, "model")
    network: DepthModel = build(config.network, backbone_weights)
    network.depth_stride = config.compute.depth_stride
    return network
