"""The folder for what hqmd keeps from one run to the next."""

import os
from pathlib import Path


def hqmd_home() -> Path:
    """Return $HQMD_HOME, or ~/.cache/hqmd if it is not set."""
    return Path(os.environ.get("HQMD_HOME", Path.home() / ".cache" / "hqmd"))
