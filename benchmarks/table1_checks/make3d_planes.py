"""Compare the most likely planes of a photo (table1/plane_field.py) with those of the linear program, by HiGHS.

    python benchmarks/table1_checks/make3d_planes.py CHECKPOINT PHOTO    # a folder of `hqmd train`

Needs scipy. Takes seconds; the tests do the same for six superpixels, with dense matrices.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.files.photos import read_photo
from hqmd_cli.geometry.resize import shrink
from hqmd_cli.models.table1.make3d_planes import MARGIN
from hqmd_cli.models.table1.plane_field import (
    PlaneTerms,
    depth_at_pixels,
    expected_depth,
    most_likely_planes,
    plane_energy,
    strengths,
)
from hqmd_cli.training.augmentation import to_network


def linear_program(terms: PlaneTerms) -> tuple[torch.Tensor, float]:
    """Minimise sum w |A a - b|: the planes (1, n, 3), and the least energy."""
    points, pairs = terms.points, terms.pairs
    own, between = strengths(terms)
    own_row = (points.log_depth[0].exp()[:, None] * points.ray).numpy()
    pair_row = (expected_depth(terms)[:, None] * pairs.ray).numpy()

    def placed(row: np.ndarray, node: torch.Tensor) -> csr_array:
        columns = 3 * node.numpy()[:, None] + np.arange(3)
        where = (np.repeat(np.arange(len(row)), 3), columns.ravel())
        return csr_array((row.ravel(), where), shape=(len(row), 3 * terms.count))

    a = vstack([placed(own_row, points.node[0]), placed(pair_row, pairs.first) - placed(pair_row, pairs.second)])
    b = np.r_[np.ones(len(own_row)), np.zeros(len(pair_row))]
    weights = np.r_[own[0].numpy(), between.numpy()]
    answer = linprog(
        np.r_[np.zeros(3 * terms.count), weights, weights],
        A_eq=hstack([a, -eye_array(len(b)), eye_array(len(b))]),
        b_eq=b,
        bounds=[(None, None)] * (3 * terms.count) + [(0, None)] * (2 * len(b)),
        method="highs-ipm",
    )
    return torch.from_numpy(answer.x[: 3 * terms.count]).view(1, -1, 3), answer.fun


@torch.no_grad()
def main(checkpoint: Path, photo_path: Path) -> None:
    """Print both energies, the times, and how far the two depth maps are apart."""
    network, info = load_checkpoint(checkpoint, torch.device("cpu"))
    photo = shrink(read_photo(photo_path, str(photo_path)).rgb, info.model.network.size)
    rgb = torch.from_numpy(to_network(photo))[None]
    terms, _ = network.eval().terms(rgb)  # type: ignore[operator, union-attr]
    times = [time.process_time()]
    exact, least = linear_program(terms)
    times.append(time.process_time())
    planes = most_likely_planes(terms)
    times.append(time.process_time())
    found, expected = (depth_at_pixels(p, terms, rgb, MARGIN) for p in (planes, exact))
    gap = (found / expected - 1).abs().flatten()
    ours = plane_energy(planes, terms).item()
    print(f"{terms.count} superpixels, {len(terms.pairs.kind)} pairs")
    lp_s, ours_s = times[1] - times[0], times[2] - times[1]
    print(f"energy: HiGHS {least:.3f} in {lp_s:.1f} s of CPU, ours {ours:.3f} in {ours_s:.1f} s")
    print(f"depths differ by {gap.mean():.2%} on average, 99 % of them by up to {gap.quantile(0.99):.2%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
