"""Tell that a runtime had too little memory for a picture. Each runtime says so in its own words."""

import re

from hqmd_cli.errors import HqmdError

RAN_OUT = re.compile(r"allocate memory|bad.alloc|(out of|not enough|insufficient) memory", re.IGNORECASE)


def too_large(error: Exception, where: str, height: int, width: int) -> HqmdError | None:
    """Return what to tell a user if memory ran out on a picture of this size; None for any other error.

    where: the engine's name.
    """
    if not (isinstance(error, MemoryError) or RAN_OUT.search(str(error))):
        return None
    return HqmdError(f"{where}: too little memory for {height} x {width} pixels; lower --side")
