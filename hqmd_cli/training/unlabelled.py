"""Learn from photos without depth: `hqmd train --unlabelled PHOTOS --teacher MODEL`.

Any model that hqmd opens teaches. Its map of each photo is kept as 16 bits, and computed once:

    $HQMD_HOME/labels/TEACHER-KIND/PHOTO.png    SHA-256 of the model, and of the photo's file

Metres have their unit in the file (files/depth_files.py); it is finer than a millimetre's 65.535 m where a map reaches
farther. Disparity and relative depth are spread over 1..65535, since their scale and shift teach nothing. 0 is no
label: the sky of a metric teacher, and what is not finite.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from hqmd_cli.checkpoints.hub import scheme_of
from hqmd_cli.data import DATASETS, open_split_or_all
from hqmd_cli.data.pairs import FilePairs
from hqmd_cli.data.sample import Dataset, GroundTruth, Sample, too_many
from hqmd_cli.depth import valid_depth
from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.atomic import explain_read_errors, explain_write_errors, write_bytes
from hqmd_cli.files.depth_files import MILLIMETRES_PER_METRE, UNIT_TAG, depth_unit_tag, read_depth_values
from hqmd_cli.files.home import hqmd_home
from hqmd_cli.files.photos import LARGEST_16_BIT, read_photo
from hqmd_cli.files.png import encode_png
from hqmd_cli.files.regular import file_hash
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.geometry.resize import shrink
from hqmd_cli.inference.open import OpenModel, OpenOptions, open_models
from hqmd_cli.prediction.earlier_results import EarlierResults
from hqmd_cli.prediction.sources import LeftOut, find_sources
from hqmd_cli.registry import resolve
from hqmd_cli.training.origins import name_of
from hqmd_cli.units import IN_WORDS, Kind

LABEL_SIDE = 640  # pixels of a label's shorter side; the teacher sees the photo as it is
SKY_M = 1000.0  # a label from here on is sky, or as good as
SMALLEST_SPAN = 1e-12  # of a flat map
QUIET_S = 10  # between two lines of progress

Say = Callable[[str], object]


class Photo(NamedTuple):
    """A photo without depth."""

    path: Path
    focal_px: float | None  # stated beside the photo; None: as its EXIF says, if it does


class Label(NamedTuple):
    """A teacher's map of a photo, as a file."""

    photo: Photo
    path: Path
    kind: Kind


@dataclass
class TaughtPhotos:
    """Photos with the maps of one or several teachers: a sample for each photo and teacher."""

    labels: Sequence[Label]
    description: str
    teachers: dict[str, str]  # by name: SHA-256
    ground_truth: GroundTruth = "as given"

    @property
    def names(self) -> list[str]:
        """Names of the samples, in order."""
        return [label.photo.path.name for label in self.labels]

    @property
    def photos(self) -> list[str]:
        """Absolute paths of the photos."""
        return [str(label.photo.path.resolve()) for label in self.labels]

    @property
    def files(self) -> list[Path]:
        """Photos and labels."""
        return [file for label in self.labels for file in (label.photo.path, label.path)]

    @property
    def mixes_kinds(self) -> bool:
        """True if some labels are no metres, so that batches have to say which."""
        return any(label.kind != "depth" for label in self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        photo, file, kind = self.labels[index]
        values, units_per_metre = read_depth_values(file), depth_unit_tag(file) or 1.0
        label = values.astype(np.float32) / np.float32(units_per_metre)
        rgb, camera = seen(photo)
        focal_px = camera.fx * (label.shape[1] / rgb.shape[1]) if camera.is_known else None
        return Sample(photo.path.name, shrink(rgb, label.shape), label, values > 0, focal_px=focal_px, kind=kind)


def open_unlabelled(
    where: str, teachers: Sequence[str], held_out: Dataset, device: str, beside_truth: bool, say: Say
) -> TaughtPhotos:
    """Find photos, have each teacher label those that it has not labelled before, and return them as a dataset.

    `where` is a file, folder or pattern as `hqmd predict` takes it, or data whose depth is left aside. Photos that are
    in `held_out` are left out. Raises HqmdError if there are none, if more than 1 % of them cannot be labelled, and if
    nothing gives metres: neither a teacher, nor, `beside_truth`, pairs that the run learns from, too.
    """
    photos = without_held_out(find_photos(where, say), held_out, say)
    functions = [name for name in dict.fromkeys(teachers) if name.startswith("py:")]  # compute where they like
    others = [name for name in dict.fromkeys(teachers) if name not in functions]
    models = open_models(others, OpenOptions(device=device)) | open_models(functions, OpenOptions())
    by = " and ".join(f"{known_as(model.name)} ({IN_WORDS[model.kind]})" for model in models.values())
    if not beside_truth and all(model.kind != "depth" for model in models.values()):
        raise HqmdError(f"nothing gives metres: {by}; add a --teacher that does, or pairs with depth by --data")
    for model in models.values():
        say(f"teacher: {model.in_words}")
    digests = {known_as(model.name): model.digest() for model in models.values()}
    labels = [label for m in models.values() for label in label_all(photos, m, digests[known_as(m.name)], say)]
    return TaughtPhotos(labels, f"{Path(where).name}, {len(photos)} photos without depth, labelled by {by}", digests)


def known_as(name: str) -> str:
    """Name a teacher on cards: by its folder, for where that lies may be private."""
    scheme = scheme_of(name)
    place = Path(name.partition(":")[2] if scheme else name)
    if not place.exists():
        return name
    return f"{scheme}:{place.resolve().name}" if scheme else name_of(place)


def find_photos(where: str, say: Say) -> list[Photo]:
    """List photos, each once. Raises HqmdError if there are none."""
    path = Path(where)
    if is_data(path):
        data = open_split_or_all(path, "train", "filled", 1.0)  # any unit: the depth is not read
        if not isinstance(data, FilePairs):
            raise HqmdError(f"{path}: its photos are not single files; give a folder of photos")
        say(f"{path}: its depth is left aside: the {len(data)} photos of its train split are taken")
        return [Photo(photo, data.focal_px(number)) for number, (_, photo, _) in enumerate(data.pairs)]
    left_out = LeftOut()
    sources = find_sources([where], is_result=EarlierResults(), left_out=left_out)
    if left_out.counts:
        say(f"{where}: left out: {left_out.in_words}")
    if named := [source.name for source in sources if source.path is None]:
        raise HqmdError(f"{named[0]}: a run reads its photos again in each epoch; save them to a folder first")
    return [Photo(source.path, None) for source in sources if source.path]


def is_data(path: Path) -> bool:
    """True for photos with depth in a layout that hqmd knows."""
    if not path.is_dir():
        return path.is_file() and path.suffix.lower() in DATASETS
    layouts = (resolve(DATASETS, name, "kind of data") for name in DATASETS if name.endswith("/"))
    has_depth = (path / "depth").is_dir() or not (path / "rgb").is_dir()
    return has_depth and any(layout.recognises(path) for layout in layouts)


def without_held_out(photos: list[Photo], held_out: Dataset, say: Say) -> list[Photo]:
    """Leave out the photos that a run validates on. Raises HqmdError if no other is there."""
    known = set(held_out.photos)
    kept = [photo for photo in photos if str(photo.path.resolve()) not in known]
    if not kept:
        raise HqmdError(f"all {len(photos)} photos without depth are in {held_out.description}, which validates")
    if kept != photos:
        say(f"{len(photos) - len(kept)} photos without depth are left out, since {held_out.description} validates")
    return kept


def label_all(photos: Sequence[Photo], model: OpenModel, digest: str, say: Say) -> list[Label]:
    """Return a teacher's label of each photo; compute those that are not there. Photos that it fails on are said.

    Raises HqmdError if it fails on more than 1 %. Of several processes, one computes while the others wait.
    """
    folder = hqmd_home() / "labels" / f"{digest[:32]}-{model.kind}"
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    labels, faults, sky, last_line = [], [], [], time.monotonic()
    with FileLock(folder / "labels.lock"):
        for number, photo in enumerate(photos):
            if time.monotonic() - last_line > QUIET_S:
                say(f"labels by {model.name}: {number} of {len(photos)}")
                last_line = time.monotonic()
            try:
                path = folder / file_of(photo)
                if not path.exists():
                    sky.append(write_label(path, map_of(model, photo), model.kind))
                labels.append(Label(photo, path, model.kind))
            except HqmdError as error:
                faults.append(first_line(error))
                say(f"left out: {faults[-1]}")
    if too_many(len(faults), len(photos)):
        raise HqmdError(f"{model.name} cannot label {len(faults)} of {len(photos)} photos, such as {faults[0]}")
    say(f"labels by {model.name}: {len(sky)} new of {len(labels)}, in {folder}{sky_in_words(sky)}")
    return labels


def sky_in_words(shares: Sequence[float]) -> str:
    """Say how much of new labels is no label; empty for nothing."""
    if not any(shares):
        return ""
    return f"; {np.mean(shares):.1%} of them is sky, {SKY_M:g} m or farther, and taught by no one"


def file_of(photo: Photo) -> str:
    """Name the label of a photo by what decides it: the photo's content, and a focal length stated beside it."""
    with explain_read_errors(printable(str(photo.path))):
        digest = file_hash(photo.path)[:32]
    return f"{digest}-{photo.focal_px:g}.png" if photo.focal_px else f"{digest}.png"


def seen(photo: Photo) -> tuple[NDArray[np.uint8], Intrinsics]:
    """Read a photo, (H, W, 3) RGB, and its camera."""
    read = read_photo(photo.path)
    return read.rgb, find_intrinsics(*read.rgb.shape[:2], fx=photo.focal_px, focal_35mm=read.focal_35mm)


def map_of(model: OpenModel, photo: Photo) -> NDArray[np.float32]:
    """Return a teacher's map of a photo, no larger than LABEL_SIDE; metres are those of the photo's own camera."""
    rgb, camera = seen(photo)
    height, width = rgb.shape[:2]
    values = model.see(rgb, camera, sure=False).depth
    if model.follows_camera:
        values = values * np.float32(camera.metres_factor(height, width))
    scale = min(1.0, LABEL_SIDE / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]


def write_label(path: Path, values: NDArray[np.float32], kind: Kind) -> float:
    """Write a map (H, W) in 16 bits; return the share of its pixels without a label. Raises HqmdError if all are."""
    known = valid_depth(values, kind) & ((values < SKY_M) if kind == "depth" else True)
    if not known.any():
        raise HqmdError(f"{path}: the teacher gives no number that can be learned")
    least, greatest = float(values[known].min()), float(values[known].max())
    if kind == "depth":
        values = np.where(known, values, 0)
        units_per_metre = min(MILLIMETRES_PER_METRE, LARGEST_16_BIT / greatest)
        numbers, text = values * units_per_metre, {UNIT_TAG: repr(units_per_metre)}
    else:
        numbers = 1 + (np.where(known, values, least) - least) * (
            (LARGEST_16_BIT - 1) / max(greatest - least, SMALLEST_SPAN)
        )
        text = {"Description": f"{kind}, {least!r} to {greatest!r} as 1 to {LARGEST_16_BIT}"}
    write_bytes(path, encode_png(np.where(known, np.round(numbers), 0).astype(np.uint16), text))
    return 1 - float(known.mean())
