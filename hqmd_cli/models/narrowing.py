"""A wider decoder's weights for a narrower one: the channels stay that count most for the layer behind them."""

from collections.abc import Mapping

from torch import Tensor

CHAIN = (  # each ConvBNReLU whose channels may become fewer, and the weights that read them, in either decoder
    ("decoder.fusion.fuse.0", ("decoder.fusion.fuse.1.0.weight",)),
    ("decoder.fusion.fuse.1", ("decoder.reduce.0.weight", "decoder.logits.weight")),
)


def narrowed(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` with the decoder's fusion as narrow as that of `own`; as it is where it is not the wider of the two.

    A channel counts as much as the weights that read it, times the scale that batch norm gives it.
    """
    state = dict(state)
    for layer, readers in CHAIN:
        scale = f"{layer}.1.weight"
        reader = next(
            (name for name in readers if name in state and state[name].shape[1:2] == state[scale].shape), None
        )
        if reader is None or scale not in own or len(own[scale]) >= len(state[scale]):
            continue
        counts = state[scale].float().abs() * state[reader].float().square().sum((0, 2, 3)).sqrt()
        kept = counts.argsort(descending=True)[: len(own[scale])].sort().values
        for name, tensor in list(state.items()):
            if name.startswith(f"{layer}.") and tensor.dim():
                state[name] = tensor[kept]
        state[reader] = state[reader][:, kept]
    return state
