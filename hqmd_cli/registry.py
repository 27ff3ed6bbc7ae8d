"""Registries: plain dicts from names to things, with one error for names that are missing.

A registry of code holds `"package.module:attribute"`. It is imported when a name is resolved, so the command line can
list the names without torch.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, TypeVar

from hqmd_cli.errors import HqmdError

Thing = TypeVar("Thing")


def pick(registry: Mapping[str, Thing], name: str, kind: str) -> Thing:
    """Return the entry called `name`. Raises HqmdError listing the known names if it is missing."""
    if name not in registry:
        raise HqmdError(f"no {kind} named {name!r}; there are: {', '.join(registry)}")
    return registry[name]


def resolve(registry: Mapping[str, str], name: str, kind: str) -> Any:
    """Import the entry called `name`. Raises HqmdError listing the known names if it is missing."""
    return resolve_name(pick(registry, name, kind))
