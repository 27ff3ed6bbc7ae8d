"""Names to code, lazily: a registry is a plain dict of `name -> "package.module:attribute"`.

Nothing is imported until a name is resolved, so the CLI can offer the names without torch.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from hqmd_cli.errors import HqmdError


def resolve(registry: Mapping[str, str], name: str, kind: str) -> Any:
    """Import what `name` stands for. Raises HqmdError listing the known names when there is no such entry."""
    if name not in registry:
        raise HqmdError(f"no {kind} named {name!r}; there are: {', '.join(registry)}")
    return resolve_name(registry[name])
