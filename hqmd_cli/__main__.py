"""`python -m hqmd_cli` is the console script `hqmd`."""

from hqmd_cli.app import run

run()
