"""What hqmd-light takes from hqmd's pyproject.toml: everything, with its heavy requirements as extras."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

CLONE = Path(__file__).parents[2]
HEAVY = ("torch", "picture")  # extras of hqmd_cli/installed.py whose packages are in the base of hqmd
ON_TORCH = ("export", "hub")  # extras that are of no use without torch
OF_A_CLONE = ("dev", "docs")  # extras for work on hqmd itself
INSTEAD = {"opencv-python": "opencv-python-headless"}  # which needs no libGL


def package_of(requirement: str) -> str:
    """Return the name in a requirement, such as numpy of numpy>=1.26."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def light(project: dict[str, Any], extra_of: dict[str, str]) -> dict[str, Any]:
    """Return the metadata of hqmd-light, from hqmd's and from the extra that brings each package."""
    base: list[str] = []
    heavy: dict[str, list[str]] = {extra: [] for extra in HEAVY}
    for requirement in project["dependencies"]:
        name = package_of(requirement)
        heavy.get(extra_of.get(name, ""), base).append(INSTEAD.get(name, name) + requirement.removeprefix(name))
    optional = project["optional-dependencies"].items()
    extras = {name: packages for name, packages in optional if name not in OF_A_CLONE} | heavy
    for extra in ON_TORCH:
        extras[extra] = [*extras[extra], *extras["torch"]]
    same = ("license", "keywords", "classifiers", "scripts")
    return {key: project[key] for key in same} | {
        "dependencies": base,
        "optional-dependencies": extras,
    }


class LightMetadata(MetadataHookInterface):
    """The hook that hatchling calls."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in what pyproject.toml calls dynamic."""
        sys.path.insert(0, str(CLONE))
        from hqmd_cli.installed import EXTRAS

        project = tomllib.loads((CLONE / "pyproject.toml").read_text("utf-8"))["project"]
        metadata |= light(project, EXTRAS)
