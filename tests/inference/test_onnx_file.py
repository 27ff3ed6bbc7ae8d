"""onnx: third-party models: equal to a bare session and to their authors' formulas, on tiny graphs of the same shape.

Sources of the formulas stand in checkpoints/catalogue.toml.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_graphs import depth_anything_3, depth_anything_3_metric, depth_anything_v2, metric3d, moge, save
from PIL import Image

from hqmd_cli.api import load
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.providers import CPU
from hqmd_cli.inference.foreign.after_onnx import focal_and_shift
from hqmd_cli.inference.foreign.onnx_picture import shown
from hqmd_cli.inference.foreign.onnx_profile import Profile
from hub_server import HubServer, commit_of, environment

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
NYU_FOCAL = 518.86 / 480  # in shorter sides


def photo(height: int, width: int) -> np.ndarray:
    """Noise over a gradient, so that every way of resizing shows."""
    rng = np.random.default_rng(3)
    ramp = np.linspace(0, 200, width)[None, :, None] + np.zeros((height, 1, 3))
    return np.clip(ramp + rng.integers(0, 56, (height, width, 3)), 0, 255).astype(np.uint8)


def bare(path: Path, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=[CPU])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def normalized(rgb: np.ndarray) -> np.ndarray:
    return ((rgb / np.float32(255) - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)


def test_depth_anything_v2(tmp_path: Path) -> None:
    """The shorter side of a large photo becomes 518, sides are multiples of 14; bicubic both ways, kept in range."""
    path, rgb = depth_anything_v2(tmp_path / "da2.onnx"), photo(600, 900)
    rgb[:, :300], rgb[:, 300:400] = 0, 255  # M6: a step
    small = np.asarray(Image.fromarray(rgb).resize((784, 518), Image.Resampling.BICUBIC))
    (answer,) = bare(path, pixel_values=normalized(small))["predicted_depth"]
    expected = cv2.resize(answer, (900, 600), interpolation=cv2.INTER_CUBIC)
    assert expected.min() < answer.min() or expected.max() > answer.max()  # it overshoots
    model = load(f"onnx:{path}", profile="depth-anything-v2")
    np.testing.assert_allclose(model(rgb), expected.clip(answer.min(), answer.max()), rtol=1e-5)
    assert model.kind == "disparity"


def longest_504(rgb: np.ndarray) -> np.ndarray:
    """Depth Anything 3: the longer side to 504, then both to the nearest multiple of 14."""
    scale = 504 / max(rgb.shape[:2])
    rows, columns = (round(side * scale) for side in rgb.shape[:2])
    first = cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA)
    rows, columns = (int(side / 14 + 0.5) * 14 for side in (rows, columns))
    grows = rows > first.shape[0] or columns > first.shape[1]
    return cv2.resize(first, (columns, rows), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)


def test_depth_anything_3(tmp_path: Path) -> None:
    path, rgb = depth_anything_3(tmp_path / "da3.onnx"), photo(540, 960)
    small = longest_504(rgb)
    assert small.shape == (280, 504, 3)  # 283.5 -> 284 -> 280
    answer = bare(path, pixel_values=normalized(small)[None])["predicted_depth"][0, 0]
    model = load(f"onnx:{path}", profile="depth-anything-3")
    np.testing.assert_allclose(model(rgb), cv2.resize(answer, (960, 540)), rtol=1e-5)
    assert model.kind == "relative"


def test_depth_anything_3_metric(tmp_path: Path) -> None:
    """metres = focal of the resized photo * output / 300; the sky is as far as 99 % of the rest."""
    path, rgb = depth_anything_3_metric(tmp_path / "metric.onnx"), photo(378, 504)
    rgb[:100] = 255
    outputs = bare(path, image=normalized(rgb))  # 504 wide already
    depth, sky = outputs["depth"][0, 0], outputs["sky"][0, 0] >= 0.3
    assert 0.2 < sky.mean() < 0.8
    depth = np.where(sky, np.quantile(depth[~sky], 0.99), depth)
    model = load(f"onnx:{path}", profile="depth-anything-3-metric")
    np.testing.assert_allclose(model(rgb, fx=450), depth * 450 / 300, rtol=1e-5)
    np.testing.assert_allclose(model(rgb), depth * NYU_FOCAL * 378 / 300, rtol=1e-5)
    assert model.model.sees and "sky" in model.model.sees(rgb, None).remark


def in_612(rgb: np.ndarray) -> tuple[np.ndarray, float, tuple[slice, slice]]:
    """Metric3D: fits into 616 x 1064, with its mean colour around it."""
    height, width = rgb.shape[:2]
    scale = min(616 / height, 1064 / width)
    rows, columns = int(height * scale), int(width * scale)
    top, left = (616 - rows) // 2, (1064 - columns) // 2
    framed = np.empty((616, 1064, 3), np.float32)
    framed[:] = (123.675, 116.28, 103.53)
    inner = (slice(top, top + rows), slice(left, left + columns))
    framed[inner] = cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return framed.transpose(2, 0, 1)[None], scale, inner


@pytest.mark.parametrize(
    ("profile", "input", "output"),
    [("metric3d-v2", "pixel_values", "predicted_depth"), ("metric3d-v2-own-export", "image", "pred_depth")],
)
def test_metric3d(profile: str, input: str, output: str, tmp_path: Path) -> None:
    """metres = focal of the resized photo * output / 1000."""
    path, rgb = metric3d(tmp_path / "metric3d.onnx", input, output), photo(300, 400)
    framed, scale, inner = in_612(rgb)
    depth = bare(path, **{input: framed})[output][0, 0][inner]
    expected = cv2.resize(depth, (400, 300)) * 420 * scale / 1000
    np.testing.assert_allclose(load(f"onnx:{path}", profile=profile)(rgb, fx=420), expected, rtol=2e-3)


@pytest.mark.parametrize(("profile", "divisor"), [("metric3d-v2", 1000), ("depth-anything-3-metric", 300)])
def test_metres_do_not_depend_on_the_size_of_the_photo(profile: str, divisor: int, tmp_path: Path) -> None:
    """M2: a network that always says 1, and one scene in two sizes: the focal length is that of the resized photo."""
    if profile == "metric3d-v2":
        path = metric3d(tmp_path / "one.onnx", factor=0)
    else:
        ends = ([("image", 1, [1, 3, "h", "w"])], [("depth", 1, [1, 1, "h", "w"]), ("sky", 1, [1, 1, "h", "w"])])
        lines = "sky = Mul (red, zero) depth = Add (sky, one) red = ReduceMin <keepdims = 1> (image, axis)"
        first, second, third = lines.split(") ")
        lines = f"{third} {first}) {second})"
        stored = {"axis": np.array([1]), "zero": np.float32(0), "one": np.float32(1)}
        path = save(tmp_path / "one.onnx", *ends, lines, stored)
    model = load(f"onnx:{path}", profile=profile)
    for height, width, focal in ((240, 320, 300.0), (960, 1280, 1200.0), (720, 1280, 1200.0)):
        resized = min(616 / height, 1064 / width) if divisor == 1000 else 504 / width
        metres = model(photo(height, width), fx=focal)
        np.testing.assert_allclose(metres, focal * resized / divisor, rtol=0.01)


def room(height: int, width: int, focal: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (H, W, 3) of a floor and a wall as a camera with this focal length in pixels sees them; depth; a mask."""
    down, across = np.mgrid[:height, :width].astype(np.float32)
    x, y = (across - (width - 1) / 2) / focal, (down - (height - 1) / 2) / focal
    depth = np.minimum(1.2 / np.maximum(y, 1e-3), 4 + 0.3 * x + 0.2 * np.sin(7 * x)).astype(np.float32)
    mask = down > height / 6
    return np.stack([x * depth, y * depth, depth], axis=-1), depth, mask


@pytest.mark.parametrize("name", ["scale", "metric_scale"])
def test_moge(name: str, tmp_path: Path) -> None:
    """Its points lack a shift and a focal length; masked pixels are put behind the rest, and counted."""
    points, depth, mask = room(90, 120, 100)
    shifted = points - np.float32([0, 0, 1.5])
    path = moge(tmp_path / "moge.onnx", shifted / 3, mask, 3.0, name)
    model = load(f"onnx:{path}", profile="moge-2")
    seen = model.model.sees(photo(90, 120), None)  # type: ignore[misc]
    assert seen.focal_px == pytest.approx(100, rel=1e-3)
    np.testing.assert_allclose(seen.depth[mask], depth[mask], rtol=1e-3)
    np.testing.assert_allclose(seen.depth[~mask], depth[mask].max(), rtol=1e-3)
    assert seen.remark.startswith("17.8% of the pixels are sky") or seen.remark.startswith("16.7%")
    known = model(photo(90, 120), fx=100)  # only the shift is open
    np.testing.assert_allclose(known[mask], depth[mask], rtol=1e-3)


def test_moge_before_a_flat_wall() -> None:
    """Any shift fits, with its own focal length; the points are left where they are."""
    down, across = np.mgrid[:60, :80].astype(np.float32)
    points = np.dstack([(across - 39.5) / 50 * 2, (down - 29.5) / 50 * 2, np.full((60, 80), 2.0, np.float32)])
    focal, shift = focal_and_shift(points, np.ones((60, 80), bool), None)
    assert abs(shift) < 0.1 and focal * 50 == pytest.approx(50 * (2 + shift) / 2, rel=1e-3)


@pytest.mark.parametrize("known", [None, 1.3])
def test_mogess_focal_and_shift_are_those_of_its_authors(known: float | None) -> None:
    """moge/utils/geometry_numpy.py solves by scipy's Levenberg-Marquardt, to ftol 1e-3."""
    from scipy.optimize import least_squares

    points, _, mask = room(64, 64, 60)
    points = points + np.random.default_rng(0).normal(0, 0.01, points.shape).astype(np.float32)
    points[..., 2] -= 0.7
    half = np.hypot(64, 64) / 2
    down, across = np.mgrid[:64, :64]
    pixels = (np.stack([across, down], axis=-1) - 31.5)[mask] / half
    xy, z = points[mask][:, :2].astype(float), points[mask][:, 2].astype(float)

    def errors(shift: np.ndarray) -> np.ndarray:
        projected = xy / (z + shift)[:, None]
        f = known or (projected * pixels).sum() / np.square(projected).sum()
        return (f * projected - pixels).ravel()

    solution = least_squares(errors, x0=0, ftol=1e-12, method="lm")["x"].item()
    focal, shift = focal_and_shift(points, mask, known)
    assert shift == pytest.approx(solution, rel=1e-3)
    projected = xy / (z + solution)[:, None]
    assert focal == pytest.approx(known or (projected * pixels).sum() / np.square(projected).sum(), rel=1e-3)


@pytest.mark.slow
def test_shrinking_is_the_processors(tmp_path: Path) -> None:
    """M8: a checkerboard, in which a missing filter shows, as transformers' own processor shrinks it."""
    transformers = pytest.importorskip("transformers")
    down, across = np.mgrid[:3000, :4000]
    board = np.repeat(np.where((down // 3 + across // 3) % 2, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    processor = transformers.DPTImageProcessor(
        size={"height": 518, "width": 518}, keep_aspect_ratio=True, ensure_multiple_of=14, do_normalize=False
    )
    theirs = processor(images=Image.fromarray(board), return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    profile = Profile(fit="closest", side=518, multiple=14, resize="bicubic")
    ours = shown(board, profile, None).rgb / 255
    assert ours.shape == theirs.shape and np.abs(ours - theirs).mean() < 1 / 255
    bare_linear = shown(board, Profile(fit="closest", side=518, multiple=14, resize="linear"), None).rgb / 255
    assert np.abs(bare_linear - theirs).mean() > 10 / 255  # what the test would find


def test_it_runs_without_torch_and_transformers(tmp_path: Path) -> None:
    path = depth_anything_v2(tmp_path / "da2.onnx")
    Image.fromarray(photo(60, 80)).save(tmp_path / "photo.png")
    code = f"""
import sys
for name in ("torch", "transformers", "onnx", "scipy"):
    sys.modules[name] = None
from hqmd_cli.api import load
print(load("onnx:{path}", profile="depth-anything-v2")("{tmp_path}/photo.png").shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "(60, 80)\n", done.stderr


def test_a_relative_model_writes_no_metres(tmp_path: Path, hqmd: Callable) -> None:
    """M4: in disparity, what is near has the large numbers; as millimetres they would be read as far."""
    path = depth_anything_v2(tmp_path / "da2.onnx")
    Image.fromarray(photo(60, 80)).save(tmp_path / "photo.png")
    model = ["-m", f"onnx:{path}", "--onnx-profile", "depth-anything-v2"]
    for output in (["-o", tmp_path / "d.mm.png"], ["-o", tmp_path / "out", "--format", "npy,mm"]):
        refused = hqmd("predict", tmp_path / "photo.png", *output, *model)
        assert refused.returncode == 1 and "needs metres" in refused.stderr
        assert "disparity, larger is nearer, no metres" in refused.stderr
    assert not [*tmp_path.rglob("*.mm.png")]
    done = hqmd("predict", tmp_path / "photo.png", "-o", tmp_path / "d.npy", "--json", *model)
    record = json.loads((tmp_path / "d.json").read_text())
    assert done.returncode == 0, done.stderr
    assert record["unit"] == "disparity" and "near_m" not in record
    assert record["outputs"] == {"d.npy": "float32 disparity, larger is nearer, no metres"}


def test_what_is_too_far_for_millimetres_never_wraps(tmp_path: Path, hqmd: Callable) -> None:
    """M5: 70 m modulo 65.536 would be 4.464 m; it is no depth, and counted. Infinity is refused."""
    ends = ([("rgb8", 2, [1, "h", "w", 3])], [("m", 1, [1, "h", "w"])])
    path = save(
        tmp_path / "far.onnx",
        *ends,
        "float = Cast <to = 1> (rgb8) m = ReduceMax <keepdims = 0> (float, axis)",
        {"axis": np.array([3])},
    )
    rgb = np.full((40, 60, 3), 70, np.uint8)
    rgb[:30] = 12
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    (tmp_path / "far.toml").write_text('kind = "depth"\nchannels_last = true\n')
    model = ["-m", f"onnx:{path}", "--onnx-profile", tmp_path / "far.toml"]
    done = hqmd("predict", tmp_path / "photo.png", "-o", tmp_path / "d.mm.png", "-o", tmp_path / "d.npy", *model)
    assert done.returncode == 0, done.stderr
    assert "25.0% of the pixels are farther than 65.535 m, which 16 bits do not hold, written as 0" in done.stderr
    millimetres = np.asarray(Image.open(tmp_path / "d.mm.png"))
    assert (millimetres[:30] == 12000).all() and (millimetres[30:] == 0).all()
    assert (np.load(tmp_path / "d.npy")[30:] == 70).all()
    infinite = save(
        tmp_path / "inf.onnx",
        *ends,
        "float = Cast <to = 1> (rgb8) most = ReduceMax <keepdims = 0> (float, axis) m = Div (most, zero)",
        {"axis": np.array([3]), "zero": np.float32(0)},
    )
    with pytest.raises(HqmdError, match="its map is not finite"):
        load(f"onnx:{infinite}", profile=str(tmp_path / "far.toml"))(rgb)


def test_the_models_own_camera_is_used_and_recorded(tmp_path: Path, hqmd: Callable) -> None:
    points, _, mask = room(90, 120, 100)
    path = moge(tmp_path / "moge.onnx", points, mask, 1.0)
    Image.fromarray(photo(90, 120)).save(tmp_path / "photo.png")
    model = ["-m", f"onnx:{path}", "--onnx-profile", "moge-2"]
    done = hqmd("predict", tmp_path / "photo.png", "-o", tmp_path / "d.npz", "--json", *model)
    assert done.returncode == 0 and "as the model sees it" in done.stderr, done.stderr
    camera = json.loads((tmp_path / "d.json").read_text())["intrinsics"]
    assert camera["fx"] == pytest.approx(100, rel=1e-3) and "as the model sees it" in camera["origin"]
    assert np.load(tmp_path / "d.npz")["intrinsics"][0, 0] == pytest.approx(100, rel=1e-3)
    remarks = json.loads((tmp_path / "d.json").read_text())["photo_remarks"]
    assert len(remarks) == 1 and "have no depth by the model itself" in remarks[0]
    done = hqmd("predict", tmp_path / "photo.png", "-o", tmp_path / "e.npz", "--json", "--fx", "120", *model)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "e.json").read_text())["intrinsics"]["fx"] == 120  # who knows, wins


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    """Bytes in, centimetres out, a fixed size; and what is squeezed is said."""
    ends = ([("rgb8", 2, [1, 40, 80, 3])], [("cm", 1, [1, 40, 80])])
    lines = "cm = ReduceMax <keepdims = 0> (float, axis) float = Cast <to = 1> (rgb8)"
    first, second = lines.split(") ")
    path = save(tmp_path / "own.onnx", *ends, f"{second} {first})", {"axis": np.array([3])})
    (tmp_path / "own.toml").write_text('kind = "depth"\nchannels_last = true\nscale = 0.01\n')
    model = load(f"onnx:{path}", profile=str(tmp_path / "own.toml"))
    rgb = photo(40, 80)
    np.testing.assert_allclose(model(rgb), rgb.max(axis=2) / 100, rtol=1e-6)
    assert model.model.sees and model.model.sees(rgb, None).remark == ""
    assert "squeezed to 80 x 40" in model.model.sees(photo(80, 80), None).remark


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            'kind = "depth"\ninput = "other"',
            "it has no input other; inputs: pixel_values tensor.float.*outputs: predict",
        ),
        ('kind = "depth"\noutput = "other"', "it has no output other"),
        ('kind = "depth"\nviews = true', "has 4 axes"),
        ('kind = "depth"\nchannels_last = true', "channels_last = true is wrong for RGB in its input pixel_values"),
        ('kind = "depth"\nafter = "moge"', "it has no output mask"),
        ('kind = "metres"', "own.toml: kind must be one of depth, disparity, relative"),
        ('kind = "depth"\nnormalise = 1', "own.toml: unknown Profile setting normalise"),
        ('kind = "depth"\nfit = "pad"', "own.toml: fit pad needs size"),
        ('kind = "depth"\nside = 100000', r"own.toml: side must be in 0..4,096"),
        ("kind = ", "own.toml: not a readable profile"),
        ("", "does not say what its numbers are"),
    ],
)
def test_wrong_profiles(text: str, complaint: str, tmp_path: Path) -> None:
    path = depth_anything_v2(tmp_path / "da2.onnx")
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(HqmdError, match=complaint):
        load(f"onnx:{path}", profile=str(tmp_path / "own.toml"))


def test_what_nobody_says_is_not_guessed(tmp_path: Path) -> None:
    path = depth_anything_v2(tmp_path / "da2.onnx")
    with pytest.raises(
        HqmdError, match=r"it does not say what it expects; pass --onnx-profile.*moge-2.*inputs: pixel_values"
    ):
        load(f"onnx:{path}")
    with pytest.raises(HqmdError, match="neither a file here nor org/name"):
        load("onnx:./nothing.onnx")
    with pytest.raises(HqmdError, match="--onnx-profile works with onnx: models only; hqmd-indoor-small is not one"):
        load("hqmd-indoor-small", profile="moge-2")
    with pytest.raises(HqmdError, match="--size is for hqmd's own models"):
        load(f"onnx:{path}", profile="depth-anything-v2", size="fast")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(HqmdError, match=r"text.onnx: ONNX Runtime cannot open it"):
        load(f"onnx:{tmp_path}/text.onnx", profile="depth-anything-v2")


@pytest.mark.slow
def test_our_own_exports_reopen_without_a_profile(
    trained_run: Path, hqmd: Callable, tmp_path: Path, quick_export: None
) -> None:
    """With the metres of the checkpoint, within 2 % at each pixel; only the checkpoint rounds its pictures to bytes."""
    path = tmp_path / "own.onnx"
    done = hqmd("export", trained_run / "best", "-o", path)
    assert done.returncode == 0, done.stderr
    rgb, own, checkpoint = photo(96, 128), load(f"onnx:{path}"), load(str(trained_run / "best"))
    assert own.kind == "depth" and own.model.remark.startswith(f"onnx:{path}, metres (exported by hqmd ")
    np.testing.assert_allclose(own(rgb), checkpoint(rgb), rtol=0.02)
    np.testing.assert_allclose(own(rgb, fx=300), checkpoint(rgb, fx=300), rtol=0.02)  # follows the camera
    graph = onnx.load(path)
    (entry,) = graph.metadata_props
    assert entry.key == "hqmd" and len(json.loads(entry.value)["model_sha256"]) == 64
    entry.value = entry.value.replace("metre", "foot")
    onnx.save(graph, tmp_path / "damaged.onnx")
    with pytest.raises(HqmdError, match="its metadata hqmd is damaged: unit foot"):
        load(f"onnx:{tmp_path}/damaged.onnx")
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "before.onnx")  # as hqmd wrote them before
    before = load(f"onnx:{tmp_path}/before.onnx")
    np.testing.assert_array_equal(before(rgb), own(rgb))
    assert "taken for a file of an earlier `hqmd export`" in before.model.remark


def with_weights_beside(path: Path, spelling: str) -> Path:
    onnx.save(onnx.load(path), path, save_as_external_data=True, location=path.name + spelling, size_threshold=64)
    return path


SEE = """
import sys
from hqmd_cli.api import load
from hqmd_cli.errors import HqmdError
import numpy as np
for name in sys.argv[1:]:
    try:
        model = load(name, profile="depth-anything-v2")
        print(model.model.name, model(np.zeros((20, 30, 3), np.uint8)).shape)
    except HqmdError as error:
        print("refused:", error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["_data", ".data"])
def test_weights_in_a_file_beside_it(spelling: str, tmp_path: Path) -> None:
    """M3: from the hub's cache, where files are links, with the same revision; and without that file."""
    folder = tmp_path / "repo" / "onnx"
    folder.mkdir(parents=True)
    with_weights_beside(depth_anything_v2(folder / "model.onnx"), spelling)
    assert (folder / f"model.onnx{spelling}").is_file()
    lacking = tmp_path / "lacking" / "onnx"
    lacking.mkdir(parents=True)
    shutil.copy(folder / "model.onnx", lacking)
    models = {("org/name", "main"): tmp_path / "repo", ("org/lacking", "main"): tmp_path / "lacking"}
    names = ["onnx:org/name/onnx/model.onnx", "onnx:org/lacking/onnx/model.onnx", "onnx:org/name/no.onnx"]
    with HubServer(models) as hub:
        done = subprocess.run(
            [sys.executable, "-c", SEE, *names],
            env=environment(hub.endpoint, tmp_path / "home"), capture_output=True, text=True,
        )  # fmt: skip
        commit = commit_of("org/name", "main")
        whole, lacks, none = done.stdout.splitlines()
        assert whole == f"onnx:org/name@{commit}/onnx/model.onnx (20, 30)", done.stderr
        assert "keeps its weights in a file beside it, model.onnx_data or so, which is not there" in lacks
        assert none == "refused: onnx:org/name/no.onnx: the model on the hub has no no.onnx"
    pinned = f"onnx:org/name@{commit}/onnx/model.onnx"
    offline = environment(hub.endpoint, tmp_path / "home", HF_HUB_OFFLINE="1")
    done = subprocess.run([sys.executable, "-c", SEE, pinned], env=offline, capture_output=True, text=True)
    assert done.stdout == f"{pinned} (20, 30)\n"
    again = environment(hub.endpoint, tmp_path / "another", HF_HUB_OFFLINE="1")
    done = subprocess.run([sys.executable, "-c", SEE, pinned], env=again, capture_output=True, text=True)
    assert "the Hugging Face hub cannot be reached: HF_HUB_OFFLINE is set" in done.stdout


def test_links_that_onnx_runtime_refuses_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some versions open no weights beside a link (onnxruntime#27353)."""
    from hqmd_cli.inference.foreign import onnx_file

    (tmp_path / "blobs").mkdir()
    with_weights_beside(depth_anything_v2(tmp_path / "blobs" / "model.onnx"), "_data")
    (tmp_path / "model.onnx").symlink_to("blobs/model.onnx")
    (tmp_path / "model.onnx_data").symlink_to("blobs/model.onnx_data")
    real = onnx_file.open_session

    def strict(path: Path, *rest: object) -> object:
        if path.is_symlink():
            raise HqmdError(f"{path}: ONNX Runtime cannot open it: External data path escapes model directory")
        return real(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(onnx_file, "open_session", strict)
    assert load(f"onnx:{tmp_path}/model.onnx", profile="depth-anything-v2")(photo(20, 30)).shape == (20, 30)
