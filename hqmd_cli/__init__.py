"""hqmd: metric depth from a single photo, and the lab that makes and judges such models.

    from hqmd_cli import load
    depth_m = load("hqmd-indoor")(image)

This module imports nothing before `load` is asked for, so that `hqmd --help` answers at once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hqmd_cli.api import load

__all__ = ["load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load":
        from hqmd_cli.api import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
