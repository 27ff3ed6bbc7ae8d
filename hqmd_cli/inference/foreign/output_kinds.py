"""What the numbers of transformers' depth models are, family by family, from their settings. No torch.

`transformers` itself does not say: all of them answer with `predicted_depth`, whatever that is. Where settings leave it
open there is no entry, and the user has to know; a name counts only where its publisher is known to mean one thing.
Read in the code and documentation of transformers 5.24.
"""

import re
from collections.abc import Callable
from typing import Any

from hqmd_cli.units import Kind

Said = tuple[Kind, str]  # what the numbers are, and how that is known

# Names on the hub. MiDaS 3.0 and 3.1 give inverse depth up to scale and shift, Ranftl et al. 2020,
# https://arxiv.org/abs/1907.01341; DINOv2's heads were trained on the metres of one dataset, Oquab et al. 2023,
# https://arxiv.org/abs/2304.07193.
KNOWN_DPT: dict[str, Said] = {
    r"Intel/dpt-(large|hybrid-midas|beit-.+|swinv2-.+)": ("disparity", "as MiDaS does"),
    r"facebook/dpt-dinov2-(small|base|large|giant)-(nyu|kitti)": ("depth", "as DINOv2's heads for NYU and KITTI do"),
}
NO_DEPTH = {"chmv2": "heights of tree canopies seen from above"}


def of_depth_anything(config: Any, repo: str) -> Said | None:
    """Metric models scale to max_depth, which is 1 where nobody has set it: that says nothing."""
    if config.depth_estimation_type == "relative":
        return "disparity", "by its config: depth_estimation_type is relative"
    if config.depth_estimation_type == "metric" and config.max_depth and config.max_depth != 1:
        return "depth", f"by its config: depth_estimation_type is metric, max_depth {config.max_depth:g}"
    return None


def of_dpt(config: Any, repo: str) -> Said | None:
    """One architecture for MiDaS's disparities and for metres; nothing in the settings tells which."""
    return next((said for names, said in KNOWN_DPT.items() if re.fullmatch(names, repo)), None)


def of_depth_pro(config: Any, repo: str) -> Said | None:
    """Its inverse depth gets its scale from the field of view that it sees, if it looks for that."""
    if config.use_fov_model:
        return "depth", "scaled by the field of view that it sees"
    return "relative", "by its config: without use_fov_model its scale is open"


def up_to_max_depth(config: Any, repo: str) -> Said | None:
    """Networks whose last step multiplies by metres."""
    return "depth", f"by its config: max_depth {config.max_depth:g}"


FAMILIES: dict[str, Callable[[Any, str], Said | None]] = {
    "depth_anything": of_depth_anything,
    "depth_pro": of_depth_pro,
    "dpt": of_dpt,
    "glpn": up_to_max_depth,
    "prompt_depth_anything": lambda config, repo: ("relative", "without its prompt of measured depth"),
    "tipsv2_dpt": up_to_max_depth,
    "zoedepth": lambda config, repo: ("depth", "ZoeDepth's bins are metres"),
}


def meaning_of(config: Any, repo: str) -> Said | None:
    """Of a model's settings and its name on the hub (empty: a folder); None where they do not tell."""
    family = FAMILIES.get(config.model_type)
    return family(config, repo) if family else None
