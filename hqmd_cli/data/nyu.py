"""NYU Depth V2, labelled: the official `nyu_depth_v2_labeled.mat`. Silberman, Hoiem, Kohli and Fergus, ECCV 2012.

A MATLAB 7.3 file is HDF5 with reversed axes: `images` (1449, 3, 640, 480) uint8; `depths` (holes filled) and
`rawDepths` (0 where the Kinect measured nothing), both (1449, 640, 480) float, metres.
"""

import hashlib
import json
import os
from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np

from hqmd_cli.data import NYU_FILE, NYU_URL
from hqmd_cli.data.sample import FileDataset, GroundTruth, Sample, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.download import RemoteFile
from hqmd_cli.files.regular import require_regular

FRAMES = 1449
IMAGES_SHAPE = (FRAMES, 3, 640, 480)
DEPTH_FIELDS: dict[GroundTruth, str] = {"filled": "depths", "raw": "rawDepths"}

# NYU publishes neither size nor hash, and we have not measured them. Four repositories agree on 2972037809 bytes and
# MD5 520609c519fba3ba5ac58c8fefcc3530 (one is https://github.com/ENSTA-U2IS-AI/torch-uncertainty, torch_uncertainty/
# datasets/nyu.py, which refuses any other file), and three on this SHA-256; one of them has both hashes.
LABELLED = RemoteFile(
    NYU_URL,
    size=2_972_037_809,
    sha256="2d724b0c0ab358aa1ce5df855e5bd14a2279ab7202efe22f32a30d612dcb86aa",
    signature=(512, b"\x89HDF\r\n\x1a\n"),  # after MATLAB's header
)

# The official 795/654 split, 1-based as in splits.mat (checked against that file's trainNdxs and testNdxs).
SPLITS_FILE = "nyu_splits.json"
SPLITS_SHA256 = "b790ab9cabc641704c355a141e21ed19529e2d36e5011bfde4ac83d2ca097cd7"

# Models must not be selected on the test split, so every 9th run of consecutive training frames is held out.
# Consecutive frames show one room, so no room is in both parts.
VAL_EVERY, VAL_FIRST = 9, 4


def official_splits() -> dict[str, list[int]]:
    """Return the 1-based frames of `train` (721), `val` (74), both together (`trainval`, 795) and `test` (654).

    Raises HqmdError if the packaged file of splits was changed.
    """
    content = files("hqmd_cli.data").joinpath(SPLITS_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != SPLITS_SHA256:
        raise HqmdError(f"{SPLITS_FILE} inside the package was changed; reinstall hqmd")
    official = json.loads(content)
    runs = consecutive_runs(official["train"])
    val = [frame for run in runs[VAL_FIRST::VAL_EVERY] for frame in run]
    train = sorted(set(official["train"]) - set(val))
    return {"train": train, "val": val, "trainval": official["train"], "test": official["test"]}


def consecutive_runs(frames: list[int]) -> list[list[int]]:
    """Split ascending frame numbers where one is missing: [3, 4, 7] -> [[3, 4], [7]]."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and runs[-1][-1] == frame - 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs


def scenes_of(path: Path) -> list[str]:
    """Read the scene of each of the 1449 frames, such as kitchen_0004, from the labelled file.

    Raises HqmdError if `path` is another file.
    """
    if not path.is_file():
        raise HqmdError(f"{path}: no such file")
    try:
        require_regular(path)
        with h5py.File(path, "r") as file:
            require_inside(path, file, "scenes")
            references = file["scenes"][()].ravel()  # MATLAB stores each text of a cell array as an array
            scenes = ["".join(map(chr, file[reference][()].ravel())) for reference in references]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise HqmdError(f"{path}: not the labelled file, or damaged: its scenes cannot be read ({error})") from error
    if len(scenes) != FRAMES:
        raise HqmdError(f"{path}: {len(scenes)} scenes, the official file has {FRAMES}")
    return scenes


def require_inside(path: Path, file: h5py.File, field: str) -> None:
    """Raise HqmdError if a field's numbers lie in other files: whoever made this one would choose what is read.

    Also raises it for what is no number, or no uint8 in a photo.
    """
    link = file.get(field, getlink=True)
    dataset = file.get(field) if isinstance(link, h5py.HardLink) else None
    elsewhere = not isinstance(link, (h5py.HardLink, type(None)))
    if elsewhere or (isinstance(dataset, h5py.Dataset) and (dataset.external or dataset.is_virtual)):
        raise HqmdError(f"{path}: {field} lies in another file, unlike in the official one; download it again")
    kinds = {"images": "u1", "depths": "f4 f8", "rawDepths": "f4 f8"}.get(field)
    if kinds and isinstance(dataset, h5py.Dataset) and dataset.dtype.str[1:] not in kinds.split():
        raise HqmdError(f"{path}: {field} holds {dataset.dtype}, unlike the official file; download it again")


class NyuMat(FileDataset):
    """One split of the labelled file. Safe with several workers: each process opens the file itself."""

    title = "NYU Depth V2"
    home = "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"
    licence = "none stated"
    layout = NYU_FILE
    split_help = "trainval is the official 795 frames, train and val its parts"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        if depth_scale not in (None, 1):
            raise HqmdError(f"{path}: the official file is in metres; leave --depth-scale out")
        self.path, self.ground_truth = path, ground_truth
        self.frames = official_splits()[split]
        self.field = DEPTH_FIELDS[ground_truth]
        self.description = f"{path.name}, {split}"
        self._file: h5py.File | None = None
        self._process = -1
        # Another number of frames would mean that the split selects other pictures.
        for field, expected in (("images", IMAGES_SHAPE), (self.field, (FRAMES, *IMAGES_SHAPE[2:]))):
            require_inside(path, self.open(), field)
            if not isinstance(found := self.open().get(field), h5py.Dataset):
                raise HqmdError(f"{path}: no field {field!r} (found {', '.join(self.open())}); not the official file")
            if found.shape != expected:
                raise HqmdError(
                    f"{path}: {field} is {found.shape}, the official file has {expected}: "
                    f"its {FRAMES} frames are what the 795/654 split counts"
                )

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the official splits; every copy of the file has them."""
        return list(official_splits())

    @property
    def names(self) -> list[str]:
        """Official frame numbers, 1-based, with five digits."""
        return [f"{frame:05d}" for frame in self.frames]

    @property
    def photos(self) -> list[str]:
        """Path of the file and frame number of each photo."""
        return [f"{self.path.resolve()}, frame {frame}" for frame in self.frames]

    @property
    def scenes(self) -> dict[str, str]:
        """The scene of each frame, such as kitchen_0004; nothing if the file has none. Raises HqmdError if damaged."""
        if "scenes" not in self.open():
            return {}
        scenes = scenes_of(self.path)
        return {name: scenes[frame - 1] for name, frame in zip(self.names, self.frames, strict=True)}

    @property
    def files(self) -> list[Path]:
        """The labelled file."""
        return [self.path]

    def open(self) -> h5py.File:
        """Return this process's handle. One inherited by a fork would share its position with the parent."""
        if self._file is None or self._process != os.getpid():
            require_regular(self.path)  # HDF5 would wait for a pipe's writer
            self._file = None  # close first: HDF5 reuses the descriptor of a file that is still open
            try:
                self._file, self._process = h5py.File(self.path, "r"), os.getpid()
            except OSError as error:
                raise HqmdError(f"{self.path}: not a MATLAB 7.3 (HDF5) file, or damaged: {error}") from error
        return self._file

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        frame = self.frames[index]
        file = self.open()
        try:
            image = np.ascontiguousarray(file["images"][frame - 1].transpose(2, 1, 0))  # (3, W, H) -> (H, W, 3)
            depth_m = np.ascontiguousarray(file[self.field][frame - 1].T, dtype=np.float32)  # (W, H) -> (H, W)
        except OSError as error:
            raise HqmdError(f"{self.path}: frame {frame} is damaged: {error}") from error
        return sample_from(f"{frame:05d}", image, depth_m)
