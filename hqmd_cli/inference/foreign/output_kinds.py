"""The kind of numbers that transformers' depth models predict, by family and settings. No torch.

`transformers` does not tell: all of them return `predicted_depth`. A family whose settings leave the kind open has no
entry, and the user must state it; a name decides only if its publisher uses it for one kind. From the code and
documentation of transformers 5.24.
"""

import re
from collections.abc import Callable
from typing import Any

from hqmd_cli.errors import HqmdError
from hqmd_cli.units import Kind

Stated = tuple[Kind, str]  # a kind, and how it is known

# By name on the hub. MiDaS 3.0 and 3.1 predict inverse depth up to scale and shift, Ranftl et al. 2020,
# https://arxiv.org/abs/1907.01341; DINOv2's heads were trained on the metres of one dataset, Oquab et al. 2023,
# https://arxiv.org/abs/2304.07193.
KNOWN_DPT: dict[str, Stated] = {
    r"Intel/dpt-(large|hybrid-midas|beit-.+|swinv2-.+)": ("disparity", "as MiDaS does"),
    r"facebook/dpt-dinov2-(small|base|large|giant)-(nyu|kitti)": ("depth", "as DINOv2's heads for NYU and KITTI do"),
}
NO_DEPTH = {"chmv2": "heights of tree canopies seen from above"}


def of_depth_anything(config: Any, repo: str) -> Stated | None:
    """Read depth_estimation_type. Metric models scale to max_depth; its default of 1 tells nothing."""
    if config.depth_estimation_type == "relative":
        return "disparity", "by its config: depth_estimation_type is relative"
    if config.depth_estimation_type == "metric" and config.max_depth and config.max_depth != 1:
        return "depth", f"by its config: depth_estimation_type is metric, max_depth {config.max_depth:g}"
    return None


def of_dpt(config: Any, repo: str) -> Stated | None:
    """Go by the name: one architecture serves for disparities and for metres, and no setting tells which."""
    return next((stated for names, stated in KNOWN_DPT.items() if re.fullmatch(names, repo)), None)


def of_depth_pro(config: Any, repo: str) -> Stated | None:
    """Read use_fov_model: the inverse depth gets its scale from the field of view, if that is predicted."""
    if config.use_fov_model:
        return "depth", "scaled by the field of view that it predicts"
    return "relative", "by its config: without use_fov_model its scale is open"


def up_to_max_depth(config: Any, repo: str) -> Stated | None:
    """Read max_depth, by which the last layer multiplies."""
    return "depth", f"by its config: max_depth {config.max_depth:g}"


FAMILIES: dict[str, Callable[[Any, str], Stated | None]] = {
    "depth_anything": of_depth_anything,
    "depth_pro": of_depth_pro,
    "dpt": of_dpt,
    "glpn": up_to_max_depth,
    "prompt_depth_anything": lambda config, repo: ("relative", "without its prompt of measured depth"),
    "tipsv2_dpt": up_to_max_depth,
    "zoedepth": lambda config, repo: ("depth", "ZoeDepth's bins are metres"),
}


def meaning_of(config: Any, repo: str) -> Stated | None:
    """Tell the kind from settings and the name on the hub (empty for a folder); None if they leave it open."""
    family = FAMILIES.get(config.model_type)
    return family(config, repo) if family else None


def require_read(config: Any) -> None:
    """Raise HqmdError for a library that ignores the settings of metric Depth Anything: it would give other numbers.

    transformers issue 32890: a config keeps settings that nothing reads, so its class is asked.
    """
    if config.model_type == "depth_anything" and not hasattr(type(config)(), "depth_estimation_type"):
        raise HqmdError("this transformers is too old for metric Depth Anything, whose settings it ignores: update it")


def left_open(config: Any) -> str:
    """Say which settings leave the kind open, for a message; an empty string if the family has none for it."""
    names = [name for name in ("depth_estimation_type", "max_depth") if hasattr(config, name)]
    return f"its config has {' and '.join(f'{name} {getattr(config, name)}' for name in names)}" if names else ""
