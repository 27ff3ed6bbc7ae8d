"""Depth as pictures: colormaps, error maps, panels and grids. Arrays in, arrays out."""

# Name -> colormap of OpenCV, far to near. All but turbo get brighter towards the camera, so that a grey print shows the
# order, too.
COLORMAPS = {
    "magma": "cv2:COLORMAP_MAGMA",  # perceptually even
    "inferno": "cv2:COLORMAP_INFERNO",
    "plasma": "cv2:COLORMAP_PLASMA",
    "viridis": "cv2:COLORMAP_VIRIDIS",
    "cividis": "cv2:COLORMAP_CIVIDIS",
    "turbo": "cv2:COLORMAP_TURBO",  # far blue, near red
    "gray": "",  # black to white, which OpenCV has no colormap for
}
DEFAULT_COLORMAP = "magma"
