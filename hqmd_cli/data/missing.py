"""Files that are listed but missing: up to 1 % are left out and said, like damaged ones."""

from collections.abc import Sequence
from typing import TypeVar

from hqmd_cli.data.sample import too_many
from hqmd_cli.errors import HqmdError

Item = TypeVar("Item")


def without_missing(items: Sequence[Item], missing: Sequence[Item], complaint: str) -> tuple[list[Item], str]:
    """Return the items that are not missing, and a note for the description of the data; empty if nothing is missing.

    Raises HqmdError with the complaint if more are missing than are tolerated, or all.
    """
    if not missing:
        return list(items), ""
    if too_many(len(missing), len(items)):
        raise HqmdError(complaint)
    gone = set(missing)
    return [item for item in items if item not in gone], f", pictures left out whose files are missing: {len(missing)}"
