"""The folder for what hqmd keeps from one run to the next."""

import os
from pathlib import Path

from hqmd_cli.errors import HqmdError


def hqmd_home() -> Path:
    """Return $HQMD_HOME, or ~/.cache/hqmd if it is not set. Raises HqmdError if there is no home folder, either."""
    if given := os.environ.get("HQMD_HOME"):
        return Path(given)
    try:
        return Path.home() / ".cache" / "hqmd"
    except RuntimeError as error:
        raise HqmdError("this user has no home folder; set HQMD_HOME to a folder that hqmd may write to") from error
