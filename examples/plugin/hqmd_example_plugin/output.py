"""An output of predict: depth as text, a row of the photo a line."""

from pathlib import Path

import numpy as np

from hqmd_cli.files.atomic import write_text
from hqmd_cli.prediction.formats import Output
from hqmd_cli.prediction.result import DepthResult, Style


def write_csv(path: Path, result: DepthResult, style: Style) -> str:
    """Write depth with three decimals, separated by commas."""
    write_text(path, "\n".join(",".join(f"{value:.3f}" for value in row) for row in np.asarray(result.depth_m)) + "\n")
    return ""


CSV = Output(".csv", "hqmd_example_plugin.output:write_csv", "text, {unit}")
