"""Names to things: a registry is a plain dict, and a name that is not in it is answered with those that are.

Where the things are code, the dict holds `"package.module:attribute"`: nothing is imported until a name is resolved, so
the CLI can offer the names without torch.
"""

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any, TypeVar

from hqmd_cli.errors import HqmdError

Thing = TypeVar("Thing")


def pick(registry: Mapping[str, Thing], name: str, kind: str) -> Thing:
    """The entry called `name`. Raises HqmdError listing the known names when there is none."""
    if name not in registry:
        raise HqmdError(f"no {kind} named {name!r}; there are: {', '.join(registry)}")
    return registry[name]


def resolve(registry: Mapping[str, str], name: str, kind: str) -> Any:
    """Import what `name` stands for. Raises HqmdError as `pick` does."""
    return resolve_name(pick(registry, name, kind))


def lazy(name: str) -> Callable[..., Any]:
    """Return a function that calls `"package.module:function"`, which is imported at its first call."""
    return lambda *arguments: resolve_name(name)(*arguments)
