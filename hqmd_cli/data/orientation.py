"""The EXIF orientation of a photo in a pair: it turns the photo, but not the depth map."""

from pathlib import Path

from PIL import ExifTags

from hqmd_cli.files.open_picture import open_picture
from hqmd_cli.files.photos import UPRIGHT

UNTURN = "exiftool -Orientation=1 -n PHOTO removes the turn"


def orientation_of(photo: Path) -> int:
    """Read the EXIF orientation from the header of a photo; 1, as stored, if it cannot be read or turns nothing."""
    try:
        with open_picture(photo) as picture:
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged files make Pillow raise all sorts; reading the photo explains them
        return 1
    return orientation if orientation in UPRIGHT else 1
