"""Compare the filters of table1/texture_features.py with the authors' MATLAB code in Octave.

    git --git-dir=MIRROR archive HEAD LearningCode/Features | tar -x -C CHECKOUT    # of Make3D's code or a fork
    python benchmarks/table1_checks/make3d.py CHECKOUT PHOTO

Needs Octave, scipy. The rest of their code reads files of features and parameters that are not in it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat, savemat

from hqmd_cli.files.photos import read_photo
from hqmd_cli.geometry.resize import shrink
from hqmd_cli.models.table1.texture_features import respond
from hqmd_cli.training.augmentation import to_network

SIZE = (288, 384)
RGB2YCBCR = """function r = rgb2ycbcr(a)
m = [65.481 128.553 24.966; -37.797 -74.203 112; 112 -93.786 -18.214];
r = reshape(reshape(double(a) / 255, [], 3) * m' + [16 128 128], size(a));
end"""
PROGRAM = """
addpath('{helpers}'); addpath('{code}/LearningCode/Features'); load('{given}');
responses = calculateFilterBanks_old(photo); save('-v7', '{found}', 'responses');
"""
# Their masks' absolute sums: level is (1 2 1) / 25.6, edge and spot are whole numbers, the larger ones thousandths.
LEVEL, EDGE, SPOT = 4 / 25.6, 2, 4
LAWS_SUMS = [a * b for a in (LEVEL, EDGE, SPOT) for b in (LEVEL, EDGE, SPOT)]
EDGE_SUMS = [1.0, 1.102, 1.102, 1.0, 1.102, 1.102]  # 2000 and 2204 of 2000


def main(code: Path, photo_path: Path) -> None:
    """Print the largest difference of each filter's response, in shares of the largest response."""
    photo = shrink(read_photo(photo_path, str(photo_path)).rgb, SIZE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gaussMask.m").write_text("function r = gaussMask(a, b)\nr = 0;\nend")
        (folder / "rgb2ycbcr.m").write_text(RGB2YCBCR)
        savemat(folder / "given.mat", {"photo": photo})
        paths = {"helpers": folder, "code": code, "given": folder / "given.mat", "found": folder / "found.mat"}
        (folder / "run_all.m").write_text(PROGRAM.format(**paths))
        subprocess.run(["octave-cli", "--no-gui", "--quiet", str(folder / "run_all.m")], check=True)
        theirs = loadmat(folder / "found.mat")["responses"].transpose(2, 0, 1)
    ours = respond(torch.from_numpy(to_network(photo))[None])[0].double().numpy()
    sums = np.array([*LAWS_SUMS, LEVEL**2, LEVEL**2, *EDGE_SUMS])
    ranges = np.array([219.0] * 9 + [224.0] * 2 + [219.0] * 6)  # of brightness and colours in rgb2ycbcr
    expected = ours * (sums * ranges)[:, None, None]
    for level in (0, 9, 10):  # these see that black is 16
        expected[level] += 16 * LEVEL**2
    gaps = np.abs(expected - theirs).max(axis=(1, 2)) / theirs.max(axis=(1, 2))
    print(" ".join(f"{gap:.1e}" for gap in gaps))
    print(f"17 filters: {gaps.max():.1e} at most")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
