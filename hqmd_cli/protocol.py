"""The evaluation protocols that come with hqmd, each with its source, and how one is found."""

from pathlib import Path

from hqmd_cli.errors import HqmdError
from hqmd_cli.protocol_recipe import Protocol
from hqmd_cli.registry import pick

ALL = "all"  # in place of a name: one model under every protocol that fits the data
FILE_SUFFIX = ".toml"

NYU_FRAME = (480, 640)
EIGEN_CROP = (45, 471, 41, 601)  # the NYU toolbox' get_projection_mask.m as BTS and its followers index it
EIGEN_RANGE_M = (1e-3, 10.0)
# Rectification leaves each of the five recording days its own size.
KITTI_FRAMES = ((375, 1242), (370, 1224), (374, 1238), (370, 1226), (376, 1241))
KITTI_RANGE_M = (1e-3, 80.0)

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
            # Their RMSE is the root of the mean of the pictures' MSE. All pictures have as many pixels: that is pooled.
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
    )
}


def find_protocol(name: str) -> Protocol:
    """The protocol called `name`, or the one that the file of that name describes.

    Raises HqmdError listing the names when there is none, and where a file's protocol bears the name of one of ours.
    """
    if not name.endswith(FILE_SUFFIX):
        return pick(PROTOCOLS, name, "protocol")
    from hqmd_cli.protocol_file import read_protocol  # here, as the names above are all that --help needs

    protocol = read_protocol(Path(name))
    if protocol.name in (*PROTOCOLS, ALL):
        raise HqmdError(f"{name}: name {protocol.name!r} is taken by one of hqmd's own; give yours another")
    return protocol
