"""Registries: plain dicts from names to things, with one error for names that are missing.

A registry of code holds `"package.module:attribute"`. It is imported when a name is resolved, so the command line can
list the names without torch. Installed packages may add entries of their own to some (Registry).
"""

from collections.abc import Callable, Mapping
from functools import cache
from pkgutil import resolve_name
from typing import Any, TypeVar

from hqmd_cli.errors import HqmdError, complain, first_line

Thing = TypeVar("Thing")


class Registry(dict[str, Thing]):
    """A registry to which installed packages add entries, by an entry-point group such as `hqmd.losses`.

    They are read when a name is unknown and where the names are listed, not before: reading them takes a tenth of a
    second. Where things are no strings, they are imported then. What a package brings has to have all attributes in
    `needs`.
    """

    def __init__(
        self, group: str, entries: Mapping[str, Thing], needs: tuple[str, ...], of_strings: bool = True
    ) -> None:
        super().__init__(entries)
        self.group, self.needs, self.of_strings = group, needs, of_strings
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
                self[entry.name] = entry.value if self.of_strings else self.loaded(entry.load)
            except HqmdError as error:
                complain(HqmdError(f"{package}: its {self.group} {entry.name} is left out: {error}"))
                continue
            self.plugged[entry.name] = package
        return bool(self.plugged)

    def loaded(self, load: Callable[[], Any]) -> Any:
        """Import what a package brings. Raises HqmdError, which holds the reason only, if it cannot serve."""
        try:
            thing = load()
        except (Exception, SystemExit) as error:  # a package may raise anything, and may end the program
            raise HqmdError(f"{type(error).__name__}: {first_line(error)}") from error
        if lacks := [name for name in self.needs if not hasattr(thing, name)]:
            raise HqmdError(f"it is of the type {type(thing).__name__} and has no {lacks[0]}")
        return thing


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

    Raises HqmdError as well if it is of another package, and cannot be imported or is something else.
    """
    place = pick(registry, name, kind)
    if not isinstance(registry, Registry) or name not in registry.plugged:
        return resolve_name(place)
    try:
        return registry.loaded(lambda: resolve_name(place))
    except HqmdError as error:
        raise HqmdError(f"{kind} {name} of the package {registry.plugged[name]} cannot be used: {error}") from error
