"""From a photo to its depth map, by any engine and any model."""
