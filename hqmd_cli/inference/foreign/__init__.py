"""Models that hqmd did not make, by what stands before their name: `hf:org/name`, `py:module:function`.

A further kind of them is one file and one line here. Its function takes the whole name and an OpenOptions, and
returns an opening.OpenModel; what such files share is in adapter.py. No torch here: that is for whoever names one.
"""
