"""A kind of model: constant:2.5 sees a flat wall at 2.5 m, whatever the photo shows."""

import numpy as np
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.open import OpenModel, OpenOptions


def open_model(name: str, wish: OpenOptions) -> OpenModel:
    """Open constant:METRES. Raises HqmdError for anything but a number."""
    try:
        metres = np.float32(name.partition(":")[2])
    except ValueError as error:
        raise HqmdError(f"{name}: constant:METRES takes a number") from error
    return OpenModel(
        name=name,
        predict=lambda image: np.full(image.shape[:2], metres),
        engine="NumPy",
        precision="fp32",
        digest=lambda: name,
        origin="by its name",
    )
