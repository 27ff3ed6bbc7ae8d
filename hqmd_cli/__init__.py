"""hqmd: metric depth from a single photo, and the tools to train and evaluate such models.

    from hqmd_cli import load
    depth_m = load("hqmd-indoor")(image)

Importing this module imports nothing else until `load` is used, so that `hqmd --help` is quick.
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
