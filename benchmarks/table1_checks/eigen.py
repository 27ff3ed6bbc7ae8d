"""Compare table1/eigen2014.py, table1/eigen2015.py and their losses with the authors' own code, run without Theano.

    git --git-dir=MIRROR1 show 11f818c:models/depth.py > CHECKOUT/depth.py
    git --git-dir=MIRROR1 show 11f818c:models/depth.conf > CHECKOUT/depth.conf
    git --git-dir=MIRROR2 archive HEAD dataset_defs.py models | tar -x -C CHECKOUT
    python benchmarks/table1_checks/eigen.py CHECKOUT

1 is https://github.com/hjimce/Depth-Map-Prediction, 2 https://github.com/jhmitchel/eecs442normals-w18: copies of what
the authors published at cs.nyu.edu/~deigen. Their model files say which layer follows which, their configurations what
each layer is; both are read as they are. What a layer or an operator of Theano computes is written here, in torch,
after net.py and pooling.py, which want Python 2 and a GPU.

Theirs halves features where dropout would be, and scales features where ours scales colours: weights are scaled to fit.
The network of 2015 is theirs without normals (their weights are 0), with 96 channels instead of 60 in layer 3.1 as the
paper has it, and ours without pads in two convolutions.
"""

import configparser
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.losses import build_loss
from hqmd_cli.models import build_model
from hqmd_cli.models.base import Estimate
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.models.table1.eigen2014 import COARSE_ONE

Weights = dict[str, tuple[Tensor, Tensor]]
INPUTS: dict[str, Tensor] = {}  # of the symbolic variables, by name
WEIGHTS: Weights = {}  # of the units, by name: as torch has them


class Part(SimpleNamespace):
    """Their MachinePart: the local variables of a function, kept."""

    def __init__(self, variables: dict[str, Any]) -> None:
        super().__init__(**{name: value for name, value in variables.items() if name != "self"})


class Conf(configparser.ConfigParser):
    def geteval(self, section: str, option: str) -> Any:
        return eval(self[section][option], {})  # numbers and tuples of a file that the user names


def convolution(conf: Any, weight: Tensor, bias: Tensor) -> Any:
    outer, inner, *window = eval(conf["filter_shape"], {})
    if conf.get("transpose"):
        outer, inner = inner, outer
    assert tuple(weight.shape) == (outer, inner, *window), (conf.name, weight.shape)
    stride, same = conf.getint("stride", 1), conf["conv_mode"] == "same"

    def pad(side: int) -> int:  # as much as lets the last window go past the end
        beyond = math.ceil((side - window[0]) / stride) * stride + window[0] - side
        return window[0] // 2 if same else math.ceil(beyond / 2) if stride > 1 else 0

    return lambda x: F.conv2d(x, weight, bias, stride, (pad(x.shape[-2]), pad(x.shape[-1])))


class Machine:
    """Their base class: units by name."""

    def __init__(self, conf: Conf) -> None:
        self.conf, self.bsize = conf, 1
        self.define_machine()  # type: ignore[attr-defined]

    def create_unit(self, name: str, ninput: int = 0) -> Any:
        conf = self.conf[name]
        if conf["type"] == "maxpool":
            size, stride = eval(conf["poolsize"], {}), eval(conf["poolstride"], {})
            return SimpleNamespace(infer=lambda x: (F.max_pool2d(x, size, stride), None))
        weight, bias = WEIGHTS[name]
        if conf["type"] == "conv":
            return SimpleNamespace(infer=convolution(conf, weight, bias))
        assert tuple(weight.shape) == (conf.getint("noutput"), ninput), (name, weight.shape)
        shaped = SimpleNamespace(reshape=lambda shape, ndim: bias.reshape(shape))
        return SimpleNamespace(infer=lambda x: F.linear(x, weight, bias), bias=shaped)

    def define_scale3_training_crop(self, size: Any, crop: Any) -> Any:  # its place is random
        return slice(0, crop[0]), slice(0, crop[1]), self.inputs.x0[..., : 2 * crop[0] + 10, : 2 * crop[1] + 10]  # type: ignore


def fourfold(x: Tensor, scale: int) -> Tensor:
    ramp = torch.linspace(0, 1, scale + 1)[1:]
    ramp = torch.cat([ramp, ramp[:-1].flip(0)])
    kernel = (ramp[:, None] * ramp)[None, None]
    return F.conv_transpose2d(x.flatten(0, 1)[:, None], kernel, stride=scale).unflatten(0, x.shape[:2])[:, :, 0]


def normalised(x: Tensor) -> Tensor:
    """Their cmrnorm: a window of five channels."""
    squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
    return x * (2 + 1e-4 * sum(squares[:, i : i + x.shape[1]] for i in range(5))) ** -0.75


def variable(name: str) -> Tensor:
    tensor = INPUTS[name].clone()
    tensor.tag = SimpleNamespace()  # type: ignore[attr-defined]
    return tensor


def theano() -> dict[str, Any]:
    """The names that their files import, and what they mean in torch."""
    net: dict[str, Any] = {"Machine": Machine, "MachinePart": Part, "relu": torch.relu}
    net |= {"random_zero": lambda x, _: x, "upsample_bilinear": fourfold}
    net |= {"upsample_constant": lambda x, n: x.repeat_interleave(n, 2).repeat_interleave(n, 3)}
    tensor: dict[str, Any] = {"tensor3": variable, "tensor4": variable, "sqrt": torch.sqrt, "prod": math.prod}
    tensor |= {"concatenate": lambda parts, axis: torch.cat(parts, axis), "logical_and": lambda a, b: (a * b) > 0}
    tensor |= {"sum": lambda x, axis=None: x.sum() if axis is None else x.sum(axis)}
    tensor |= {"maximum": lambda x, least: x.clamp(min=least)}
    log = SimpleNamespace(getLogger=lambda: None)
    thutil = {"test_shape": lambda x: tuple(x.shape), "theano_function": None, "maximum": None, "constant": lambda x: x}
    return {
        "theano": {}, "theano.tensor": tensor, "thutil": thutil, "net": net, "ipdb": {},
        "pooling": {"cmrnorm": normalised, "sum_unpool_2d": None}, "utils": {"zero_pad_batch": None},
        "common": {"imgutil": None, "logutil": log}, "matplotlib": {}, "matplotlib.pyplot": {},
    }  # fmt: skip


def authors(path: Path, **meta: Any) -> Any:
    """A machine of one of their files, run on INPUTS with WEIGHTS; `meta` replaces numbers of the data."""
    for name, attributes in theano().items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(attributes)
    sys.modules["theano"].tensor = sys.modules["theano.tensor"]  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    conf = Conf(interpolation=None)
    conf.read(path.with_suffix(".conf"))
    if conf.has_section("conv_s3_1"):  # four of them make room for depth and normals
        conf["conv_s3_1"]["filter_shape"] = "(100, 3, 9, 9)"
        for kind in ("depths", "normals"):
            conf[f"{kind}_conv_s3_2"]["filter_shape"] = "(64, 100, 5, 5)"

    class Run(module.machine):  # type: ignore[name-defined, misc]
        define_scale3_training_crop = Machine.define_scale3_training_crop

        def define_meta(self) -> None:
            super().define_meta()
            vars(self.meta).update(meta)

    return Run(conf)


def of(layer: Any, scale: float = 1.0, bias_scale: float = 1.0) -> tuple[Tensor, Tensor]:
    return scale * layer.weight.data, bias_scale * layer.bias.data


def with_more(layer: Any, count: int) -> tuple[Tensor, Tensor]:
    """The same behind `count` filters that theirs computes and does not use."""
    weight, bias = of(layer)
    return torch.cat([torch.randn(count, *weight.shape[1:]), weight]), torch.cat([torch.randn(count), bias])


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def inputs(rgb: Tensor, truth: Tensor) -> None:
    INPUTS.update(images=255 * rgb, input=255 * rgb, depths=truth, depths_target=truth, masks=torch.ones_like(truth))
    INPUTS.update(normals_target=torch.zeros(1, 3, *truth.shape[-2:]))


def shaken(network: nn.Module) -> nn.Module:
    """Biases that show, and a spread like that of a trained network."""
    for name, parameter in network.named_parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter) if parameter.ndim != 2 else 0)
        if "view" in name and parameter.ndim == 2:
            parameter.data.mul_(3)
    return network.eval()


def check_2014(folder: Path, rgb: Tensor) -> None:
    ours: Any = shaken(build_model(from_paper("eigen2014", {})[0]))
    WEIGHTS.clear()
    for i, layer in enumerate(convolutions(ours.coarse), start=1):
        WEIGHTS[f"imnet_conv{i}"] = of(layer, bias_scale=COARSE_ONE)
    WEIGHTS["full1"], WEIGHTS["full2"] = of(ours.view.hidden[0]), of(ours.view.spread, scale=2)
    WEIGHTS["conv_s2_1"], WEIGHTS["conv_s2_2"] = with_more(ours.see[0], 1), of(ours.refine[0])
    WEIGHTS["conv_s2_3"] = of(ours.logits)
    theirs = authors(folder / "depth.py")
    coarse, fine = both_maps(ours, ours.logits, rgb)
    report("eigen2014, coarse", coarse, theirs.coarse.pred_mean)
    report("eigen2014, fine", fine, theirs.fine.pred_mean)
    check_loss("silog", theirs, theirs.define_cost, 55, 74)


def check_2015(folder: Path, rgb: Tensor) -> None:
    ours: Any = shaken(build_model(from_paper("eigen2015", {})[0]))
    vgg, std = convolutions(ours.backbone.net), ours.backbone.std
    vgg[0].padding = vgg[1].padding = (0, 0)
    names = [f"imnet_conv{i + 1}_{j + 1}" for i, count in enumerate((2, 2, 3, 3, 3)) for j in range(count)]
    WEIGHTS.clear()
    WEIGHTS.update(zip(names, map(of, vgg), strict=True))
    WEIGHTS[names[0]] = vgg[0].weight.data / (255 * std), vgg[0].bias.data
    WEIGHTS["full1"], WEIGHTS["full2"] = of(ours.view.hidden[0], scale=100), of(ours.view.spread, scale=2)
    WEIGHTS["depths_bias"] = torch.zeros(ours.place.numel(), 1), ours.place.data.flatten()
    for scale, part, unused in ((2, ours.scale2, 0), (3, ours.scale3, 4)):
        WEIGHTS[f"conv_s{scale}_1"] = with_more(part.see[0], unused)
        for i, layer in enumerate([*convolutions(part.refine), part.logits], start=2):
            weight, bias = of(layer)
            if scale == 3 and i == 2:  # depth, normals, photo
                weight = torch.cat([weight[:, :1], torch.zeros(64, 3, 5, 5), weight[:, 1:]], dim=1)
            WEIGHTS[f"depths_conv_s{scale}_{i}"] = weight, bias
            last = layer is part.logits
            WEIGHTS[f"normals_conv_s{scale}_{i}"] = (
                (torch.randn(3, 64, 5, 5), torch.randn(3)) if last else (weight, bias)
            )
    mean = 255 * ours.backbone.mean
    sys.path.insert(0, str(folder))
    theirs = authors(
        folder / "models" / "iccv15" / "depthnormals_nyud_vgg.py",
        vgg_image_mean=mean.flatten(), images_mean=mean, images_istd=1 / (255 * std),
    )  # fmt: skip
    second, third = both_maps(ours, ours.scale3.logits, rgb)
    report("eigen2015, scale 2", second, theirs.scale2.depths.pred_mean)
    report("eigen2015, scale 3", third, theirs.scale3.depths.pred_mean)
    check_loss("silog+grad", theirs, lambda *maps: theirs.define_depths_cost(*maps)[0], 109, 147)


def check_loss(name: str, machine: Any, cost: Any, height: int, width: int) -> None:
    """Of one picture without holes, one with holes, and three with more and more valid pixels."""
    for valid_shares in ([1.0], [0.7], [0.3, 0.6, 0.9]):
        machine.bsize = len(valid_shares)
        pred, truth = torch.randn(2, machine.bsize, 1, height, width)
        valid = torch.rand(truth.shape) < torch.tensor(valid_shares).view(-1, 1, 1, 1)
        ours = build_loss(name)(Estimate(pred.exp()), truth.exp(), valid)
        theirs = cost(pred[:, 0], truth[:, 0], valid[:, 0].float())
        print(f"{name}, valid {valid_shares}: {ours:.6f}, theirs {theirs:.6f}")


def both_maps(ours: Any, last: nn.Module, rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Log depth of the further map, and of the last layer."""
    maps: list[Tensor] = []
    last.register_forward_hook(lambda _, __, logits: maps.append(logits))
    return ours.estimate(rgb).aux_m[0].log(), maps[0]


def report(what: str, ours: Tensor, theirs: Tensor) -> None:
    ours, theirs = ours.squeeze(), theirs.squeeze()
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    print(
        f"{what}: {tuple(ours.shape)}, largest difference {(ours - theirs).abs().max():.1e}, spread {theirs.std():.3f}"
    )


def main() -> None:
    torch.manual_seed(0)
    folder, rgb = Path(sys.argv[1]), torch.rand(1, 3, 228, 304)
    inputs(rgb, torch.zeros(1, 228, 304))
    with torch.no_grad():
        check_2014(folder, rgb)
        check_2015(folder, rgb)


if __name__ == "__main__":
    main()
