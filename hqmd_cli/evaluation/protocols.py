"""The registry of evaluation protocols, each with its source, and protocols from TOML files."""

import types
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.files.checked_json import read_toml
from hqmd_cli.registry import pick

ALL = "all"  # in place of a name: every protocol that fits the data
FILE_SUFFIX = ".toml"

NYU_FRAME = (480, 640)
EIGEN_CROP = (45, 471, 41, 601)  # the NYU toolbox' get_projection_mask.m as BTS and its followers index it
EIGEN_RANGE_M = (1e-3, 10.0)
# Rectification leaves each of the five recording days its own size.
KITTI_FRAMES = ((375, 1242), (370, 1224), (374, 1238), (370, 1226), (376, 1241))
KITTI_RANGE_M = (1e-3, 80.0)
SYNS_FRAME = (376, 1242)
SYNS_RANGE_M = (1e-3, 100.0)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="hqmd",
            ground_truth="filled",
            source="HQMD 4.2: the mean over all pixels of a picture",
        ),
        Protocol(
            name="eigen-filled",
            ground_truth="filled",
            frames=(NYU_FRAME,),
            crop=EIGEN_CROP,
            depth_range_m=EIGEN_RANGE_M,
            clip_m=EIGEN_RANGE_M,
            source="as eigen-raw, on NYU's in-filled depth",
        ),
        Protocol(
            name="eigen-raw",
            ground_truth="raw",
            frames=(NYU_FRAME,),
            crop=EIGEN_CROP,
            depth_range_m=EIGEN_RANGE_M,
            clip_m=EIGEN_RANGE_M,
            source="BTS and its followers: https://github.com/cleinc/bts, pytorch/bts_eval.py with --eigen_crop, on "
            "the rawDepths that utils/extract_official_train_test_set_from_mat.py writes",
        ),
        Protocol(
            name="hu",
            ground_truth="filled",
            frames=(NYU_FRAME,),
            compared_at=(240, 320),
            crop=(6, 234, 8, 312),
            # Their RMSE is the root of the mean of the pictures' MSE; all have equally many pixels, so it is pooled.
            aggregation="pooled",
            source="Hu et al. 2019: https://github.com/JunjH/Revisiting_Single_Depth_Estimation, test.py, loaddata.py, "
            "nyu_transform.py, util.py. There the network sees only the crop, and truth is in whole millimetres; that "
            "their files hold the filled depth is as far as known (util.py divides by every pixel)",
        ),
        Protocol(
            name="fcrn",
            ground_truth="filled",
            aggregation="pooled",
            source="Laina et al. 2016: https://github.com/iro-cp/FCRN-DepthPrediction, matlab/evaluateNYU.m and "
            "error_metrics.m",
        ),
        Protocol(
            name="densedepth",
            ground_truth="filled",
            frames=(NYU_FRAME,),
            flip=True,
            crop=(20, 460, 24, 616),
            clip_m=(0.1, 10.0),
            aggregation="pooled",
            source="Alhashim and Wonka 2018: https://github.com/ialhashim/DenseDepth, evaluate.py and utils.py, where "
            "AbsRel divides by the prediction, here by the truth. The crop and the filled depth come in data files "
            "there: as far as known, and as its followers state them (wavelet-monodepth, DeepV2D)",
        ),
        Protocol(
            name="kitti-eigen",
            ground_truth="raw",
            frames=KITTI_FRAMES,
            crop_shares=(0.40810811, 0.99189189, 0.03594771, 0.96405229),  # Garg et al. 2016
            depth_range_m=KITTI_RANGE_M,
            clip_m=KITTI_RANGE_M,
            source="BTS: https://github.com/cleinc/bts, pytorch/bts_eval.py with --garg_crop, on KITTI's annotated "
            "depth (pytorch/README.md); the frame sizes of the five days are as far as known",
        ),
        Protocol(
            name="nyu-ratio-of-medians",
            ground_truth="filled",
            frames=(NYU_FRAME,),
            crop=EIGEN_CROP,
            alignment="median",
            source="DUSt3R, Wang et al. 2024, section 4.3, whose code for it is not published: as "
            "https://github.com/kmatzen/plumbline finds its NYU row, protocols/nyu_dust3r_table2.yaml at fc61592. "
            "MonST3R and CUT3R use no crop",
        ),
        Protocol(
            name="syns-mdec4",
            ground_truth="filled",
            frames=(SYNS_FRAME,),
            depth_range_m=SYNS_RANGE_M,
            alignment="scale-shift-depth-trimmed",
            clip_m=SYNS_RANGE_M,
            all_points=True,
            source="the fourth Monocular Depth Estimation Challenge: https://github.com/toshas/mdec_benchmark, "
            "src/core/evaluator.py, metrics.py and cfg/eval/syns_val.yaml at 4037628. Disparity is inverted before the "
            "fit. Its F-Score, which ranks, is 100 pointF@0.1, and its Chamfer twice ours; there AbsRel is in percent, "
            "and SqRel divides by the truth squared",
        ),
        Protocol(
            name="moge",
            ground_truth="warped",
            alignment="scale-shift-disparity-clamped",
            source="MoGe: https://github.com/microsoft/MoGe, moge/test/dataloader.py and metrics.py at 0744441, its "
            "affine-invariant disparity. Only for its evaluation sets, which hqmd warps as it does (--data NYUv2/)",
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """Return the protocol called `name`, or read it from the TOML file of that name.

    Raises HqmdError listing the names for an unknown one, and for a file that uses the name of one of hqmd's own.
    """
    if not name.endswith(FILE_SUFFIX):
        return pick(PROTOCOLS, name, "protocol")
    protocol = read_protocol(Path(name))
    if protocol.name in (*PROTOCOLS, ALL):
        raise HqmdError(f"{name}: name {protocol.name!r} is taken by one of hqmd's own; choose another")
    return protocol


def read_protocol(path: Path) -> Protocol:
    """Read a protocol from a TOML file whose keys are the fields of Protocol; the name defaults to the file's.

    Raises HqmdError naming the file and a key that is unknown, missing, of the wrong type or contradicts another.
    """
    try:
        values = read_toml(path)
    except (OSError, ValueError) as error:
        raise HqmdError(f"{path}: not a readable protocol: {error}") from error
    known = {field.name: field for field in fields(Protocol)}
    for key in values:
        if key not in known:
            raise HqmdError(f"{path}: unknown key {key!r}; there are: {', '.join(known)}")
    values = {"name": path.stem, "source": path.name} | values
    if missing := [key for key, field in known.items() if field.default is MISSING and key not in values]:
        raise HqmdError(f"{path}: {', '.join(missing)} is missing")
    kinds = get_type_hints(Protocol)
    try:
        return Protocol(**{key: as_kind(key, value, kinds[key]) for key, value in values.items()})
    except HqmdError as error:
        raise HqmdError(f"{path}: {error}") from error


def as_kind(key: str, value: Any, kind: Any) -> Any:
    """Convert a TOML value to a field's type: lists to tuples, whole numbers to floats.

    Raises HqmdError naming the key if it has another type.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):  # `| None`: a file leaves out the key
        return as_kind(key, value, next(part for part in parts if part is not type(None)))
    if origin is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) != len(value):
            raise HqmdError(f"{key} must be {len(kinds)} values, not {len(value)}")
        return tuple(as_kind(key, item, part) for item, part in zip(value, kinds, strict=True))
    if kind is float and type(value) is int:
        return float(value)
    if origin is Literal and value in parts:
        return value
    if origin is None and type(value) is kind:
        return value
    raise HqmdError(f"{key} must be {in_words(kind)}, not {value!r}")


def in_words(kind: Any) -> str:
    """Describe a field's type for an error message."""
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "a list"
    return {str: "text", bool: "true or false", int: "a whole number", float: "a number"}[kind]
