"""Reading and writing files: photos, depth maps, pictures, videos, downloads."""
