"""Models that hqmd did not make, by what stands before their name: `hf:org/name`, `py:module:function`.

A further kind of them is one file and one line here. Its function takes the whole name and an opening.Wish, and
returns an opening.OpenModel; what such files share is in adapter.py. No torch here: that is for whoever names one.
"""

FOREIGN = {
    "hf": "hqmd_cli.foreign.hugging_face:open_model",
    "py": "hqmd_cli.foreign.functions:open_model",
}
FORMS = ("hf:org/name[@revision] of transformers", "py:module:function")  # for messages


def scheme_of(name: str) -> str | None:
    """ "hf" of "hf:org/name"; None of a name that is none of a foreign model."""
    scheme, colon, _ = name.partition(":")
    return scheme if colon and scheme in FOREIGN else None
