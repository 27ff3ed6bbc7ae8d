"""Synthetic rooms: what the camera sees is where the geometry is, and a folder of them is whole, whatever happened."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("embreex")
pytest.importorskip("trimesh")

from hqmd_cli.data import open_training_data
from hqmd_cli.errors import HqmdError
from hqmd_cli.rooms import making
from hqmd_cli.rooms.__main__ import app
from hqmd_cli.rooms.camera import FOCAL, NEAREST_M, SIZE, Camera, cast
from hqmd_cli.rooms.catalog import Furniture, prepare_catalogue, read_catalogue
from hqmd_cli.rooms.furnishing import furnish, require_stock
from hqmd_cli.rooms.light import surface_at, trace
from hqmd_cli.rooms.making import Workshop, claim, make_rooms
from hqmd_cli.rooms.mesh import TOP_CELLS
from hqmd_cli.rooms.render import render
from hqmd_cli.rooms.scene import Picture, Room, Scene

BLOCK = """mtllib block.mtl
v 0 0 0\nv 1 0 0\nv 1 0 1\nv 0 0 1\nv 0 2 0\nv 1 2 0\nv 1 2 1\nv 0 2 1
usemtl red
f 1 2 3 4\nf 5 8 7 6\nf 1 5 6 2\nf 2 6 7 3\nf 3 7 8 4\nf 4 8 5 1
"""
# What the generator gives next after rooms 0 to 4 are furnished, and after room 2 is rendered as well. A number that
# changes means that other rooms come of the same seed than those that models were trained on: see making.DRAWING.
NEXT_AFTER_FURNISHING = (3808133129, 3158269181, 3368426234, 2106261620, 3233877368)
NEXT_AFTER_RENDERING = 3494563185
INDOORS = ("Bathroom", "Bedroom", "Kitchen", "Living room", "Office", "Miscellaneous")


def entry(number: int, name: str, category: str, width: int, height: int, model: str = "block.obj") -> str:
    """One piece of a library's catalogue, sizes in centimetres."""
    values = {"name": name, "category": category, "model": f"/models/{model}"}
    values |= {"width": str(width), "depth": "40", "height": str(height)}
    return "".join(f"{key}#{number}={value}\n" for key, value in values.items())


def write_library(path: Path, *entries: str) -> Path:
    """A .sh3f with one model, a red block."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", "".join(entries))
        archive.writestr("models/block.obj", BLOCK)
        archive.writestr("models/block.mtl", "newmtl red\nKd 0.8 0.1 0.1\n")
    return path


@pytest.fixture(scope="module")
def furniture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one library: in each category a chest and a small thing, one category for the garden."""
    folder = tmp_path_factory.mktemp("furniture")
    chests = [entry(n, f"{category} chest", category, 60, 80) for n, category in enumerate((*INDOORS, "Exterior"))]
    things = [entry(100 + n, f"{category} thing", category, 15, 20) for n, category in enumerate(INDOORS)]
    write_library(folder / "library.sh3f", *chests, *things)
    return folder


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one texture."""
    folder = tmp_path_factory.mktemp("textures")
    cv2.imwrite(str(folder / "wood.jpg"), np.full((32, 32, 3), 120, np.uint8))
    return folder


@pytest.fixture(scope="module")
def catalogue(furniture: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Furniture]:
    kept = tmp_path_factory.mktemp("kept") / "furniture.pickle"
    prepare_catalogue([furniture / "library.sh3f"], kept)
    return read_catalogue(kept)


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)]


def run_rooms(*args: object) -> subprocess.CompletedProcess:
    """`python -m hqmd_cli.rooms ...`"""
    command = [sys.executable, "-m", "hqmd_cli.rooms", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the catalogue."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pickle")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def closet() -> Scene:
    """A room too narrow for any good view."""
    scene = Scene()
    scene.rooms.append(Room(0, 0, 0.8, 0.8, 2.4))
    paint = scene.paint(np.full(3, 0.5))
    for low, high in (((-1, -1, -1), (2, 2, 0)), ((-1, -1, 2.4), (2, 2, 3)), ((-1, -1, 0), (0, 2, 3)),
                      ((0.8, -1, 0), (2, 2, 3)), ((-1, -1, 0), (2, 0, 3)), ((-1, 0.8, 0), (2, 2, 3))):  # fmt: skip
        scene.box(low, high, paint)
    return scene


def test_the_catalogue_holds_indoor_things_at_their_size(catalogue: list[Furniture]) -> None:
    assert {thing.category for thing in catalogue} == set(INDOORS)
    chest = next(thing for thing in catalogue if thing.name == "Kitchen chest")
    points = chest.mesh.triangles.reshape(-1, 3)
    np.testing.assert_allclose(points.max(0) - points.min(0), (0.6, 0.4, 0.8), atol=1e-6)
    np.testing.assert_allclose(points.min(0), (-0.3, -0.2, 0), atol=1e-6)
    assert chest.tops_m.shape == (TOP_CELLS, TOP_CELLS)
    np.testing.assert_allclose(chest.tops_m, 0.8, atol=1e-5)
    np.testing.assert_allclose(chest.mesh.colours, [(np.array([204, 26, 26]) / 255) ** 2.2], rtol=1e-5)


def test_a_kept_catalogue_is_made_anew_when_libraries_or_format_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "furniture.pickle"
    library = write_library(tmp_path / "a.sh3f", entry(1, "Old", "Kitchen", 60, 80))
    prepare_catalogue([library], kept)
    first = kept.stat().st_mtime_ns
    prepare_catalogue([library], kept)
    assert kept.stat().st_mtime_ns == first
    size = library.stat().st_size
    write_library(library, entry(1, "New", "Kitchen", 60, 80))
    assert library.stat().st_size == size
    prepare_catalogue([library], kept)
    assert [piece.name for piece in read_catalogue(kept)] == ["New"]
    monkeypatch.setattr("hqmd_cli.rooms.catalog.FORMAT", 0)
    second = kept.stat().st_mtime_ns
    prepare_catalogue([library], kept)
    assert kept.stat().st_mtime_ns != second


def test_a_model_that_cannot_be_read_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = write_library(
        tmp_path / "a.sh3f", entry(1, "Gone", "Kitchen", 60, 80, "gone.obj"), entry(2, "There", "Kitchen", 60, 80)
    )
    prepare_catalogue([library], tmp_path / "kept")
    assert [piece.name for piece in read_catalogue(tmp_path / "kept")] == ["There"]
    assert "gone.obj" in capsys.readouterr().err


def test_depth_is_the_distance_along_the_optical_axis() -> None:
    """A wall 3 m before the camera, seen straight: 3 m in the corners, too, though they are farther away."""
    scene = Scene()
    scene.box((-10, 3, -10), (10, 3.1, 10), scene.paint(np.full(3, 0.5)))
    traced = trace(scene)
    axes = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # right, down, forward
    rays, hit, depth_m = cast(traced.embree, Camera(np.zeros(3), axes))
    assert depth_m.shape == SIZE
    np.testing.assert_allclose(depth_m, 3, atol=1e-4)
    corner = hit["tfar"].reshape(SIZE)[0, 0]
    aside = (np.array(SIZE[::-1]) - 1) / 2 / FOCAL
    assert corner == pytest.approx(3 * np.sqrt(1 + (aside**2).sum()), rel=1e-4)
    albedo, glow, normals = surface_at(traced, hit, rays)
    np.testing.assert_allclose(albedo, 0.5, atol=1e-6)
    np.testing.assert_allclose(normals, np.tile([[0, -1, 0]], (len(rays), 1)), atol=1e-6)
    assert not glow.any()


def test_furniture_stands_in_the_room_and_not_in_other_furniture(
    catalogue: list[Furniture], pictures: list[Picture]
) -> None:
    for seed, following in enumerate(NEXT_AFTER_FURNISHING):
        rng = np.random.default_rng(seed)
        scene = furnish(rng, catalogue, pictures)
        assert rng.integers(2**32) == following
        walls = np.array([room[:4] for room in scene.rooms])
        placed = np.array(scene.taken)
        assert len(placed) > 3
        # The way into a second room is kept free up to 0.8 m behind the wall.
        assert (placed[:, :2] > walls[:, :2].min(0) - 1e-6).all() and (placed[:, 2:] < walls[:, 2:].max(0) + 0.9).all()
        for i, one in enumerate(placed):
            for other in placed[:i]:
                assert not ((one[:2] < other[2:]).all() and (one[2:] > other[:2]).all())


def test_a_view_is_lit_and_its_depths_are_those_of_a_room(catalogue: list[Furniture], pictures: list[Picture]) -> None:
    rng = np.random.default_rng(2)
    views = render(furnish(rng, catalogue, pictures), rng)
    assert rng.integers(2**32) == NEXT_AFTER_RENDERING
    assert views
    for photo, depth_m in views:
        assert photo.shape == (*SIZE, 3) and photo.dtype == np.uint8
        assert 30 < np.median(photo) < 225 and photo.std() > 10
        assert 0 < depth_m[depth_m > 0].min() < depth_m.max() < 12
        assert np.percentile(depth_m[depth_m > 0], 5) > NEAREST_M


def test_a_room_without_a_good_view_leaves_no_pair_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnished = []
    monkeypatch.setattr(making, "furnish", lambda *_: furnished.append(1) or closet())
    workshop = Workshop(tmp_path, 0, [], [])
    assert workshop.make(0) == workshop.make(0) == []
    assert len(furnished) == 1
    assert list(contents(tmp_path)) == ["made/00000.txt"]


@pytest.mark.slow
def test_rooms_are_pairs_that_train_takes_and_the_same_ones_after_a_stop(
    furniture: Path, textures: Path, tmp_path: Path
) -> None:
    """Made in one go by two processes, or gone on with by one after a stop: the same files, none made twice."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    done = run_rooms("-o", whole, "-n", 3, "--workers", 2, "--furniture", furniture, "--textures", textures)
    photos = sorted(path.name for path in (whole / "rgb").iterdir())
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{len(photos)} views of 3 rooms in {whole}\n", "")
    assert [name[:5] for name in photos] == ["00000"] * 2 + ["00001"] * 2 + ["00002"] * 2

    shutil.copytree(whole, stopped)
    for lost in ("made/00001.txt", "depth/00001-1.png", "made/00002.txt", "train.txt", "val.txt",
                 *(f"{part}-{view}.{suffix}" for part, suffix in (("rgb/00002", "jpg"), ("depth/00002", "png"))
                   for view in range(2))):  # fmt: skip
        (stopped / lost).unlink()
    finished = {path: path.stat().st_mtime_ns for path in stopped.glob("*/00000*")}
    made = list(make_rooms(stopped, 3, furniture, textures, workers=1))
    assert [f"{name}.jpg" for names in made for name in names] == photos
    assert contents(stopped) == contents(whole)
    assert len(finished) == 5 and all(path.stat().st_mtime_ns == time for path, time in finished.items())

    seen, held_out = open_training_data(whole, None, depth_scale=1000)
    assert (len(seen), len(held_out)) == (4, 2)
    assert held_out[0].image.shape == (*SIZE, 3)
    assert held_out[0].valid.mean() > 0.9


def test_rooms_of_other_origin_are_not_mixed(tmp_path: Path) -> None:
    origin = {"drawing": 1, "seed": 0, "furniture": {"a.sh3f": "1"}, "textures": {}}
    other = origin | {"seed": 1, "furniture": {"a.sh3f": "2"}}
    note = tmp_path / "rooms.json"
    claim(tmp_path, other)
    claim(tmp_path, origin)  # no room has been made of the other one
    assert json.loads(note.read_text()) == origin
    (tmp_path / "rgb").mkdir()
    claim(tmp_path, origin)
    with pytest.raises(HqmdError, match="other seed, furniture; choose another -o"):
        claim(tmp_path, other)
    assert json.loads(note.read_text()) == origin
    for damaged in ('{"drawing"', "[1]"):
        note.write_text(damaged)
        with pytest.raises(HqmdError, match=r"rooms\.json: damaged"):
            claim(tmp_path, origin)


def test_pairs_from_elsewhere_are_not_overwritten(furniture: Path, textures: Path, pairs: Path) -> None:
    before = contents(pairs)
    with pytest.raises(HqmdError, match=r"rgb: not from here.*another -o"):
        list(make_rooms(pairs, 1, furniture, textures))
    assert contents(pairs) == before


def no_furniture(rooms: dict, folder: Path) -> None:
    rooms["furniture"] = folder


def no_textures(rooms: dict, folder: Path) -> None:
    rooms["textures"] = folder


def outdoor_textures(rooms: dict, folder: Path) -> None:
    (folder / "grass.jpg").write_bytes((rooms["textures"] / "wood.jpg").read_bytes())
    rooms["textures"] = folder


def damaged_texture(rooms: dict, folder: Path) -> None:
    (folder / "wood.jpg").write_bytes(b"no picture")
    rooms["textures"] = folder


def damaged_library(rooms: dict, folder: Path) -> None:
    (folder / "a.sh3f").write_bytes(b"no zip")
    rooms["furniture"] = folder


def zip_of_something_else(rooms: dict, folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.sh3f", "w") as archive:
        archive.writestr("readme.txt", "hello")
    rooms["furniture"] = folder


def file_as_output(rooms: dict, folder: Path) -> None:
    (folder / "file").touch()
    rooms["output"] = folder / "file" / "rooms"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda rooms, _: rooms.update(number=0), "--number 0: must be 1 or more"),
        (lambda rooms, _: rooms.update(workers=0), "--workers 0: must be 1 or more"),
        (lambda rooms, _: rooms.update(seed=-1), "--seed -1: must be 0 or more"),
        (no_furniture, r"bad: no furniture libraries \(\*\.sh3f\) here; .*--help"),
        (no_textures, r"bad: no textures \(\*\.jpg\) here; .*--help"),
        (outdoor_textures, "bad: only textures of the outdoors; add"),
        (damaged_texture, "wood.jpg: cannot be read as a picture"),
        (damaged_library, "a.sh3f: no library of Sweet Home 3D"),
        (zip_of_something_else, "a.sh3f: no library of Sweet Home 3D"),
        (file_as_output, "rooms.json: cannot be written: Not a directory"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    spoil: Callable[[dict, Path], None], complaint: str, furniture: Path, textures: Path, tmp_path: Path
) -> None:
    rooms = {"output": tmp_path / "rooms", "number": 1, "furniture": furniture, "textures": textures}
    (tmp_path / "bad").mkdir()
    spoil(rooms, tmp_path / "bad")
    with pytest.raises(HqmdError, match=complaint):
        list(make_rooms(**rooms))


def test_libraries_that_cannot_furnish_every_room_are_refused(catalogue: list[Furniture]) -> None:
    require_stock(catalogue)
    with pytest.raises(HqmdError, match="no standing furniture for a bathroom; add more"):
        require_stock([piece for piece in catalogue if piece.category not in ("Bathroom", "Miscellaneous")])
    with pytest.raises(HqmdError, match="no things under 60 cm"):
        require_stock([piece for piece in catalogue if "chest" in piece.name])


def test_a_damaged_catalogue_says_so(furniture: Path, tmp_path: Path) -> None:
    kept = tmp_path / "furniture.pickle"
    prepare_catalogue([furniture / "library.sh3f"], kept)
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(HqmdError, match=r"furniture\.pickle: cannot be read: .*delete it"):
        read_catalogue(kept)


def test_help_says_what_it_needs_and_where_that_comes_from() -> None:
    told = CliRunner().invoke(app, ["--help"]).stdout
    for need in ("hqmd[rooms]", "apt-get download sweethome3d-furniture", ".sh3f", ".jpg", "copyright"):
        assert need in told


def test_an_error_is_one_line(textures: Path, tmp_path: Path) -> None:
    failed = run_rooms("-o", tmp_path / "rooms", "--furniture", tmp_path, "--textures", textures)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    assert failed.stderr.startswith(f"hqmd: {tmp_path}: no furniture libraries")
    assert not (tmp_path / "rooms").exists()


@pytest.mark.parametrize("package", ["embreex", "trimesh"])
def test_a_missing_package_names_the_extra(package: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules['{package}'] = None; from hqmd_cli.rooms.__main__ import main; main()"
    options = ["-o", tmp_path / "rooms", "--furniture", tmp_path, "--textures", tmp_path]
    command = [sys.executable, "-c", code, *map(str, options)]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert failed.returncode == 1
    assert failed.stderr == "hqmd: rooms need two more packages: pip install 'hqmd[rooms]'\n"
