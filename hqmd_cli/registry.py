"""Registries: plain dicts from names to things, with one error for names that are missing.

A registry of code holds `"package.module:attribute"`. It is imported when a name is resolved, so the command line can
list the names without torch. Installed packages may add entries of their own to some (Registry).
"""

from collections.abc import Mapping
from functools import cache
from pkgutil import resolve_name
from typing import Any, TypeVar

from hqmd_cli.errors import HqmdError, complain, first_line

Thing = TypeVar("Thing")


class Registry(dict[str, Thing]):
    """A registry to which installed packages add entries, by an entry-point group such as `hqmd.losses`.

    They are read when a name is unknown and where the names are listed, not before: reading them takes a tenth of a
    second. Where things are no strings, they are imported then.
    """

    def __init__(self, group: str, entries: Mapping[str, Thing], of_strings: bool = True) -> None:
        super().__init__(entries)
        self.group, self.of_strings = group, of_strings
        self.plugged: dict[str, str] = {}  # name -> the package that brings it
        self.is_extended = False

    def extend(self) -> bool:
        """Add what installed packages bring, once; True if that adds anything.

        What takes a name that hqmd has, or cannot be imported, is left out and named on stderr.
        """
        if self.is_extended:
            return False
        self.is_extended = True
        for entry in all_entry_points().select(group=self.group):
            package = entry.dist.name if entry.dist else "an installed package"
            if entry.name in self:
                complain(HqmdError(f"{package}: its {self.group} {entry.name} is left out, as that name is taken"))
                continue
            try:
                self[entry.name] = entry.value if self.of_strings else entry.load()
            except Exception as error:  # a package may raise anything
                complain(HqmdError(f"{package}: its {self.group} {entry.name} is left out: {described(error)}"))
                continue
            self.plugged[entry.name] = package
        return bool(self.plugged)


@cache
def all_entry_points() -> Any:
    """Read the entry points of all installed packages, which takes as long as reading those of one group."""
    from importlib.metadata import entry_points

    return entry_points()


def pick(registry: Mapping[str, Thing], name: str, kind: str) -> Thing:
    """Return the entry called `name`. Raises HqmdError listing the known names if it is missing."""
    if name not in registry and isinstance(registry, Registry):
        registry.extend()
    if name not in registry:
        raise HqmdError(f"no {kind} named {name!r}; there are: {', '.join(registry)}")
    return registry[name]


def resolve(registry: Mapping[str, str], name: str, kind: str) -> Any:
    """Import the entry called `name`. Raises HqmdError listing the known names if it is missing.

    Raises HqmdError as well if it is of another package that cannot be imported.
    """
    place = pick(registry, name, kind)
    package = registry.plugged.get(name) if isinstance(registry, Registry) else None
    if package is None:
        return resolve_name(place)
    try:
        return resolve_name(place)
    except Exception as error:  # a package may raise anything
        raise HqmdError(f"{kind} {name} of the package {package} cannot be imported: {described(error)}") from error


def described(error: Exception) -> str:
    """Describe an exception in one line."""
    return f"{type(error).__name__}: {first_line(error)}"
