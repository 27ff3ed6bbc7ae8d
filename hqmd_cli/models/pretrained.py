"""Pretrained weights of backbones, before timm and torch are imported, which may take a quarter of a minute."""

import re
from importlib.util import find_spec
from pathlib import Path

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.hub_client import hub_is_silent

# An entry of timm's lists of weights: NAME or NAME.TAG, and the settings in its brackets.
ENTRY = r"""['"]{name}(?:\.\w+)?['"]\s*:\s*_\w*cfg\w*\((.*?)\),?\n\s*(?:['"}}#])"""
TIMMS_OWN = re.compile(r"""hf_hub_id=['"]timm/""")


def refuse_out_of_reach(name: str) -> None:
    """Raise HqmdError within seconds if a backbone's weights are to come from a hub that does not answer.

    Stays silent where only timm can tell: if the hub's cache has a copy with this name, if timm has the weights from
    elsewhere, and for a name that timm does not know.
    """
    from huggingface_hub import constants

    copies = Path(constants.HF_HUB_CACHE).glob(f"models--*--{name}*")
    if not any(copies) and comes_from_timms_own(name) and (silent := hub_is_silent()):
        raise without_weights(name, silent)


def comes_from_timms_own(name: str) -> bool:
    """True if all weights that timm lists for a backbone lie in timm's repositories on the hub, by timm's own text."""
    spec = find_spec("timm")
    entry = re.compile(ENTRY.format(name=re.escape(name.partition(".")[0])), re.DOTALL)
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder, "models").glob("*.py")):
            if found := entry.findall(file.read_text(encoding="utf-8")):
                return all(TIMMS_OWN.search(settings) for settings in found)
    return False


def without_weights(name: str, why: str) -> HqmdError:
    """Return the error for pretrained weights that cannot be had."""
    return HqmdError(
        f"{name}: pretrained weights cannot be had: {why}; pass --backbone-weights FILE, or none to "
        "start from random weights"
    )
