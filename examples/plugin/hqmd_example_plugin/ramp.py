"""A kind of model: ramp:1,4 sees a ramp, 1 m away at the bottom and 4 m at the top, whatever the photo shows."""

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.open import OpenModel, OpenOptions


def open_model(name: str, wish: OpenOptions) -> OpenModel:
    """Open ramp:NEAR,FAR, in metres. Raises HqmdError for anything but two numbers."""
    try:
        near, far = map(float, name.partition(":")[2].split(","))
    except ValueError as error:
        raise HqmdError(f"{name}: ramp:NEAR,FAR takes two numbers of metres") from error

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the depth (H, W) of a photo (H, W, 3), in metres."""
        rows = np.linspace(far, near, image.shape[0], dtype=np.float32)
        return np.repeat(rows[:, None], image.shape[1], axis=1)

    return OpenModel(
        name=name, predict=predict, engine="NumPy", precision="fp32", digest=lambda: name, origin="by its name"
    )
