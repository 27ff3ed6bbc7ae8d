"""Wrong predictions handed to `hqmd evaluate --pred`, each answered with the sentence that helps; none is scored."""

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

SIZE = (96, 128)
ROOMS = 12
Maps = dict[str, np.ndarray]


def room(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo (H, W, 3) and its depth (H, W) in metres: floor, rear wall, one side wall, and boxes at random places."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    below = (rows - height * 0.45) / height
    depth_m = np.full(SIZE, rng.uniform(3, 6))
    np.minimum(depth_m, np.where(below > 0, 0.9 / np.maximum(below, 1e-3), 99), out=depth_m)
    side = (columns if rng.random() < 0.5 else width - 1 - columns) / width
    np.minimum(depth_m, np.where(side < 0.3, 1.2 + 12 * side, 99), out=depth_m)
    for _ in range(4):
        top, left = int(rng.uniform(0.3, 0.7) * height), int(rng.uniform(0, 0.8) * width)
        box = np.s_[top : top + int(rng.uniform(0.15, 0.3) * height), left : left + int(rng.uniform(0.1, 0.25) * width)]
        depth_m[box] = rng.uniform(1.2, 3)
    shades = (255 * np.clip(1.3 - depth_m / 7, 0, 1)).astype(np.uint8)
    return np.stack([shades, np.roll(shades, 3, 0), 255 - shades], -1), depth_m.astype(np.float32)


def honest(depth_m: np.ndarray, seed: int) -> np.ndarray:
    """What a fair model says: blurred, 8 % too far, smooth errors of a tenth."""
    noise = cv2.resize(np.random.default_rng(seed).normal(0, 0.1, (4, 5)), SIZE[::-1])
    return (1.08 * cv2.GaussianBlur(depth_m, (0, 0), 2) * np.exp(noise)).astype(np.float32)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory) -> Path:
    """Pairs: val the rooms, train others."""
    folder = tmp_path_factory.mktemp("rooms")
    (folder / "rgb").mkdir()
    (folder / "depth").mkdir()
    names = [f"room{i:02}" for i in range(2 * ROOMS)]
    for i, name in enumerate(names):
        photo, depth_m = room(i)
        Image.fromarray(photo).save(folder / "rgb" / f"{name}.png")
        Image.fromarray(np.round(1000 * depth_m).astype(np.uint16)).save(folder / "depth" / f"{name}.png")
    (folder / "val.txt").write_text("\n".join(names[:ROOMS]) + "\n")
    (folder / "train.txt").write_text("\n".join(names[ROOMS:]) + "\n")
    return folder


def npy(folder: Path, maps: Maps) -> None:
    for name, values in maps.items():
        np.save(folder / f"{name}.npy", values)


def each(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, Maps], None]:
    """All maps changed in the same way."""
    return lambda folder, maps: npy(folder, {name: change(values) for name, values in maps.items()})


def first(change: Callable[[Path], object]) -> Callable[[Path, Maps], None]:
    """Honest files, of which the first is spoilt."""

    def make(folder: Path, maps: Maps) -> None:
        npy(folder, maps)
        change(folder / "room00.npy")

    return make


def one_pixel(value: float) -> Callable[[Path, Maps], None]:
    def make(folder: Path, maps: Maps) -> None:
        spoilt = {name: values.copy() for name, values in maps.items()}
        spoilt["room05"][3, 4] = value
        npy(folder, spoilt)

    return make


def renamed(order: Callable[[list[str]], list[str]]) -> Callable[[Path, Maps], None]:
    """Every map under another picture's name."""

    def make(folder: Path, maps: Maps) -> None:
        names = list(maps)
        npy(folder, dict(zip(order(names), maps.values(), strict=True)))

    return make


def png8(to_byte: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, Maps], None]:
    def make(folder: Path, maps: Maps) -> None:
        for name, values in maps.items():
            Image.fromarray(np.clip(to_byte(values), 0, 255).astype(np.uint8)).save(folder / f"{name}.png")

    return make


def coloured(folder: Path, maps: Maps) -> None:
    for name, values in maps.items():
        picture = cv2.applyColorMap(np.clip(40 * values, 0, 255).astype(np.uint8), cv2.COLORMAP_MAGMA)
        cv2.imwrite(str(folder / f"{name}.png"), picture)


class Bomb:
    """What unpickling it would do."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def objects(path: Path) -> None:
    """An array of Python objects, which is a pickle inside."""
    np.save(path, np.array([[Bomb()]]), allow_pickle=True)


def of_other_rooms(folder: Path, maps: Maps) -> None:
    npy(folder, {name: honest(room(ROOMS + i)[1], i) for i, name in enumerate(maps)})


def one_for_all(folder: Path, maps: Maps) -> None:
    npy(folder, dict.fromkeys(maps, maps["room04"]))


def one_in_millimetres(folder: Path, maps: Maps) -> None:
    npy(folder, maps | {"room07": 1000 * maps["room07"]})


def grey_photos(folder: Path, maps: Maps) -> None:
    for name in maps:
        Image.fromarray(room(int(name[4:]))[0]).convert("L").save(folder / f"{name}.png")


def twin(folder: Path, maps: Maps) -> None:
    npy(folder, maps)
    np.save(folder / "room03_depth.npy", maps["room03"])


def twelve_of(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[None], 2, axis=0)


@dataclass(frozen=True)
class Wrong:
    """A way to be wrong, and what is said."""

    make: Callable[[Path, Maps], None]
    said: str
    flags: tuple[str, ...] = ()
    also: tuple[str, ...] = field(default=())


METRES = ("--pred-scale", "1")
WRONG = {
    "disparity as depth": Wrong(
        each(lambda z: 1 / z), "these look like disparities; pass --pred-kind disparity", METRES
    ),
    "disparity, unit open": Wrong(each(lambda z: 1 / z), "--pred-kind disparity"),
    "millimetres as metres": Wrong(each(lambda z: 1000 * z), "these look like millimetres", METRES),
    "centimetres": Wrong(each(lambda z: 100 * z), "the depth unit is unclear"),
    "centimetres as metres": Wrong(each(lambda z: 100 * z), "these look like centimetres", METRES),
    "metres as millimetres": Wrong(each(lambda z: z), "--pred-scale 1", ("--pred-scale", "1000")),
    "each map divided by its maximum": Wrong(png8(lambda z: 255 * z / z.max()), "8-bit depth has no unit of its own"),
    "8 bits of 10 m": Wrong(png8(lambda z: 25.5 * z), "8-bit depth has no unit of its own"),
    "whole metres in 8 bits": Wrong(png8(np.round), "a map has only", METRES),
    "one file in millimetres": Wrong(one_in_millimetres, "1 of 12 predictions have another unit than the rest", METRES),
    "each map stretched": Wrong(
        each(lambda z: 1 + 5 * (z - z.min()) / np.ptp(z)), "each map runs from exactly 1 to exactly 6"
    ),
    "each map stretched over 8 bits": Wrong(
        png8(lambda z: 255 * (z - z.min()) / (z.max() - z.min())), "0 or less", ("--pred-scale", "25.5")
    ),
    "mirrored": Wrong(each(lambda z: z[:, ::-1]), "the maps are mirrored"),
    "upside down": Wrong(each(lambda z: z[::-1]), "the maps are upside down"),
    "turned by 180 degrees": Wrong(each(lambda z: z[::-1, ::-1]), "the maps are turned by 180 degrees"),
    "rotated by a quarter, resized": Wrong(
        each(lambda z: np.rot90(z)), "it lies on its side", ("--pred-resize", "bilinear")
    ),
    "rotated by a quarter": Wrong(each(lambda z: np.rot90(z)), "the prediction is 96 x 128, the truth 128 x 96"),
    "two files swapped": Wrong(renamed(lambda n: [n[1], n[0], *n[2:]]), "in another order than the pictures"),
    "three files in turn": Wrong(renamed(lambda n: [n[1], n[2], n[0], *n[3:]]), "3 of 12 predictions fit another"),
    "all shifted by one": Wrong(renamed(lambda n: [*n[1:], n[0]]), "another picture, 1 before in the list"),
    "all in reverse": Wrong(renamed(lambda n: n[::-1]), "in another order than the pictures"),
    "maps of other rooms": Wrong(of_other_rooms, "these are other pictures' files"),
    "one map for all": Wrong(one_for_all, "12 of 12 predictions are the same map as another's"),
    "half the size": Wrong(each(lambda z: z[::2, ::2]), "--pred-resize bilinear"),
    "a file missing": Wrong(first(lambda path: path.unlink()), "room00"),
    "two files for a picture": Wrong(twin, "room03"),
    "a NaN": Wrong(one_pixel(np.nan), "room05: 0.0% of the pixels are NaN or infinite"),
    "an infinity": Wrong(one_pixel(np.inf), "room05: 0.0% of the pixels are NaN or infinite"),
    "a hole of 0": Wrong(one_pixel(0), "room05: 0.0% of the depths are 0 or less"),
    "a negative depth": Wrong(one_pixel(-1), "0 or less"),
    "the same everywhere": Wrong(each(lambda z: np.full_like(z, 2.5)), "the prediction is 2.5 everywhere"),
    "an empty file": Wrong(
        first(lambda path: path.write_bytes(b"")), "cannot be read as a depth map: the file is empty"
    ),
    "a file cut off": Wrong(first(truncated), "cannot be read as a depth map"),
    "text called .npy": Wrong(first(lambda path: path.write_text("1 2 3")), "its content is not from numpy.save"),
    "text called .npz": Wrong(
        lambda folder, maps: [(folder / f"{name}.npz").write_text("1 2 3") for name in maps],
        "its content is not from numpy.savez",
    ),
    "an .npy without pixels": Wrong(first(lambda p: np.save(p, np.zeros((0, 4)))), "this is (0, 4) float64", METRES),
    "a pickle called .npy": Wrong(first(lambda p: p.write_bytes(pickle.dumps(Bomb()))), "its content is not from"),
    "a pickle in an .npy": Wrong(first(objects), "cannot be read as a depth map: Object arrays cannot be loaded"),
    "an .npz called .npy": Wrong(
        first(lambda p: np.savez(p.open("wb"), np.ones(SIZE))), "its content is not from numpy.save"
    ),
    "an .npz of several arrays": Wrong(
        lambda folder, maps: [np.savez(folder / f"{name}.npz", mean=z, spread=z / 9) for name, z in maps.items()],
        "which array is the depth? There are mean, spread",
    ),
    "several maps in a file": Wrong(each(twelve_of), "one number a pixel"),
    "a colour picture": Wrong(coloured, "a colour picture"),
    "another split": Wrong(each(lambda z: z), "room12", ("--split", "train")),
    "logarithms": Wrong(each(np.log), "these look like logarithms of metres; write exp of them"),
    "relative depth of 0 to 1": Wrong(each(lambda z: z / 12), "the depth unit is unclear"),
    "relative depth as metres": Wrong(each(lambda z: z / 12), "these look like depth in units of 10 m", METRES),
    "the truth itself": Wrong(
        lambda folder, maps: npy(folder, {name: room(int(name[4:]))[1] for name in maps}),
        "these maps are the truth itself",
    ),
    "the truth itself, for a single picture": Wrong(
        lambda folder, maps: npy(folder, maps | {"room02": room(2)[1]}),
        "1 of 12 predictions, such as that for room02, are the truth to 0.1%",
    ),
    "the photos": Wrong(
        lambda folder, maps: [Image.fromarray(room(i)[0]).save(folder / f"room{i:02}.png") for i in range(ROOMS)],
        "a colour picture",
    ),
    "the photos in grey, far is dark": Wrong(grey_photos, "these look like disparities", ("--pred-scale", "40")),
    "no folder": Wrong(lambda folder, maps: folder.rmdir(), "no such folder"),
    "an empty folder": Wrong(lambda folder, maps: None, "it is empty"),
    "other kinds of file": Wrong(lambda folder, maps: (folder / "a.txt").write_text(""), ".txt"),
    "a protocol for other frames": Wrong(each(lambda z: z), "is for frames of", ("--protocol", "eigen-filled")),
    "disparity without a fit": Wrong(each(lambda z: 1 / z), "claim no metres", ("--pred-kind", "disparity")),
}


@pytest.fixture
def maps(rooms) -> Maps:
    return {f"room{i:02}": honest(room(i)[1], i) for i in range(ROOMS)}


def judge(hqmd, rooms, folder, *flags):
    split = () if "--split" in flags else ("--split", "val")
    return hqmd("evaluate", "--data", rooms, "--pred", folder, *split, *flags)


@pytest.mark.parametrize("way", WRONG)
def test_each_way_to_be_wrong_is_told_and_nothing_scored(hqmd, rooms, maps, tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    wrong, folder = WRONG[way], tmp_path / "maps"
    folder.mkdir()
    wrong.make(folder, maps)
    result = judge(hqmd, rooms, folder, *wrong.flags)
    assert result.returncode == 1 and not result.stdout, result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("hqmd:")]
    assert wrong.said in line
    assert not Path("unpickled").exists()


def test_honest_maps_raise_no_alarm(hqmd, rooms, maps, tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    npy(folder, maps)
    result = judge(hqmd, rooms, folder)
    assert result.returncode == 0, result.stderr
    assert "hqmd:" not in result.stderr and "AbsRel" in result.stdout


def test_truth_without_a_pixel(hqmd, rooms, maps, tmp_path):
    data, folder = tmp_path / "data", tmp_path / "maps"
    shutil.copytree(rooms, data)
    Image.fromarray(np.zeros(SIZE, np.uint16)).save(data / "depth" / "room02.png")
    folder.mkdir()
    npy(folder, maps)
    result = judge(hqmd, data, folder)
    assert result.returncode == 1 and not result.stdout
    assert "room02: no valid ground truth under protocol hqmd; is this the right file and split?" in result.stderr


def test_files_that_are_not_used_are_said(hqmd, rooms, maps, tmp_path):
    """More files than pictures are nothing wrong: a folder may hold all splits."""
    folder = tmp_path / "maps"
    folder.mkdir()
    npy(folder, maps | {"attic": maps["room00"]})
    result = judge(hqmd, rooms, folder)
    assert result.returncode == 0
    assert "metres), 1 other files there not used, such as attic.npy" in result.stderr
