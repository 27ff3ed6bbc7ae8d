"""hqmd: metric depth from a single photo, and the lab that makes and judges such models.

This module imports nothing, so that `hqmd --help` answers at once.
"""

__version__ = "0.1.0"
