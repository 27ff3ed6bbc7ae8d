"""The folders of what hqmd keeps from one run to the next, and of what comes with it."""

import os
from pathlib import Path

from hqmd_cli.errors import HqmdError


def bundled_folder() -> Path:
    """Return the folder of the models and recipes that come with hqmd, which an installation may lack.

    In a checkout they lie in `weights/` at the top; in a wheel, in the package.
    """
    package = Path(__file__).parents[1]
    return weights if (weights := package / "weights").is_dir() else package.parent / "weights"


def hqmd_home() -> Path:
    """Return $HQMD_HOME, or ~/.cache/hqmd if it is not set. Raises HqmdError if there is no home folder, either."""
    if given := os.environ.get("HQMD_HOME"):
        return Path(given)
    try:
        return Path.home() / ".cache" / "hqmd"
    except RuntimeError as error:
        raise HqmdError("this user has no home folder; set HQMD_HOME to a folder that hqmd may write to") from error
