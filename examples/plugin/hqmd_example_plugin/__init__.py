"""A package that adds to hqmd what one file and one line add in hqmd itself. pyproject.toml holds the lines."""
