"""An output of predict: depth as text, a row of the photo a line."""

from pathlib import Path

import numpy as np

from hqmd_cli.prediction.formats import Output
from hqmd_cli.prediction.result import DepthResult, Encoded, Style


def encode_csv(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode depth with three decimals, separated by commas."""
    rows = (",".join(f"{value:.3f}" for value in row) for row in np.asarray(result.depth_m))
    return ("\n".join(rows) + "\n").encode(), ""


CSV = Output(".csv", "hqmd_example_plugin.output:encode_csv", "text, {unit}")
