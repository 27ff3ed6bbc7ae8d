"""Models that hqmd did not make, named by a scheme: `hf:org/name`, `py:module:function`.

A foreign model is one file here plus one line in FOREIGN (checkpoints/hub.py). The line names a function that takes the
whole name and the user's options for opening a model, and returns an OpenModel (inference/open.py). adapter.py has what
such files share. Only the file that needs torch imports it.
"""
