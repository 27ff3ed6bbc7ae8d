"""py:module:function: any Python callable where a model is named. What holds of all foreign models is tested here, too,
because these need nothing but Python: maps without metres in every output, and in evaluate and compare.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from hqmd_cli.api import load
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import read_depth_values
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.writers.color import painted

# Of conftest.scene: red tells the depth, 255 (1 - depth / 6).
MODULE = '''
import numpy as np

calls = 0


def metres(image):
    return 6.05 - image[..., 0] * (6 / 255)


def disparity(image):
    return 3 / metres(image) - 1  # some of it negative


def relative(image):
    return (5 * metres(image) - 20).astype(np.float16)


def millimetres(image):
    return (1000 * metres(image)).astype(np.uint16)


disparity.kind, relative.kind = "disparity", "relative"


def undecided(image):
    return disparity(image)


def odd(image):
    return metres(image)


odd.kind = "inches"


class Camera:
    kind = "relative"

    def __call__(self, image):
        return relative(image)

    def metres(self, image):
        return metres(image)


camera = Camera()
number = 7
buffer = np.empty((80, 96), np.float32)


def careless(image):
    """Writes on the photo, and gives the same array every time."""
    buffer[:] = metres(image)
    image[:] = 0
    return buffer


def one_at_a_time(image):
    import time

    global calls
    calls += 1
    assert calls == 1, "called from two threads at once"
    time.sleep(0.01)
    calls -= 1
    return metres(image)


def nothing(image):
    return None


def small(image):
    return metres(image)[::2]


def colours(image):
    return image


def complex_numbers(image):
    return metres(image) + 0j


def fails(image):
    return metres(image)[:, :, 5]


def leaves(image):
    raise SystemExit("so long")


def holes(image):
    return np.where(image[..., 0] > 100, np.nan, 1)
'''
FITTED = 'ground_truth = "filled"\nalignment = "scale-shift-{}"\nclip_m = [0.1, 10.0]\nsource = "a test"\n'


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The current folder, with a module of each test's own: Python remembers those it has seen by their names."""
    name = f"depth_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    for depth in ("disparity", "depth"):
        (tmp_path / f"fitted_{depth}.toml").write_text(FITTED.format(depth))
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")  # which also takes back what hqmd adds
    monkeypatch.chdir(tmp_path)
    return name


@pytest.fixture
def rgb(photo):
    with Image.open(photo) as picture:
        return np.asarray(picture.convert("RGB"))


def truth_of(rgb):
    return (6.05 - rgb[..., 0].astype(np.float64) * (6 / 255)).astype(np.float32)


def test_its_numbers_reach_the_file(hqmd, desk, photo, rgb, tmp_path):
    result = hqmd("predict", photo, "-o", "d.npy", "-o", "d.mm.png", "--json", "--model", f"py:{desk}:metres")
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(np.load("d.npy"), truth_of(rgb), rtol=1e-6)
    assert np.abs(read_depth_values(tmp_path / "d.mm.png") / 1000 - truth_of(rgb)).max() < 0.001
    assert "metres (assumed, as neither its attribute kind nor --model-kind says" in result.stderr
    record = json.loads((tmp_path / "d.json").read_text())
    assert record["unit"] == "metre" and record["settings"]["model"] == f"py:{desk}:metres"
    assert record["near_m"] == pytest.approx(truth_of(rgb).min()) and record["outputs"]["d.npy"] == "float32 metres"


@pytest.mark.parametrize(
    ("function", "wish", "kind"),
    [
        ("metres", None, "depth"),
        ("disparity", None, "disparity"),
        ("relative", "relative", "relative"),  # the same twice
        ("undecided", "disparity", "disparity"),
        ("camera", None, "relative"),
        ("camera.metres", None, "depth"),
    ],
)
def test_what_its_numbers_are(desk, function, wish, kind):
    assert load(f"py:{desk}:{function}", kind=wish).kind == kind


@pytest.mark.parametrize(
    ("model", "wish", "said"),
    [
        ("py:NAME", {}, "py:package.module:function"),
        ("py::metres", {}, "py:package.module:function"),
        ("py:NAME:", {}, "py:package.module:function"),
        ("py:NAME.py:metres", {}, "it is called my.model"),
        ("py:none_such.model:metres", {}, "no module none_such.model"),
        ("py:NAME:meters", {}, r"NAME.py has no meters"),
        ("py:NAME:camera.feet", {}, "has no camera.feet"),
        ("py:NAME:number", {}, "not a function but int"),
        ("py:NAME:odd", {}, "'inches'; no kind of map named 'inches'; there are: depth, disparity, relative"),
        ("py:NAME:metres", {"kind": "inches"}, "no kind of map named 'inches'"),
        ("py:NAME:disparity", {"kind": "depth"}, "larger is nearer, no metres .as its attribute kind says"),
        ("hqmd-indoor-small", {"kind": "disparity"}, "hqmd-indoor-small gives metres"),
        ("py:NAME:metres", {"sides": (224,)}, "--side is for hqmd's own"),
        ("py:NAME:metres", {"size": "fast"}, "--size is for hqmd's own"),
        ("py:NAME:metres", {"backend": "onnx"}, "--backend onnx is for hqmd's own"),
        ("py:NAME:metres", {"backend": "tensorrt"}, "there are: auto, onnx, onnx-int8, torch"),
        ("py:NAME:metres", {"device": "cpu"}, "--device cpu"),
    ],
)
def test_what_cannot_be_opened(desk, model, wish, said):
    with pytest.raises(HqmdError, match=said.replace("NAME", desk)):
        load(model.replace("NAME", desk), **wish)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere_to_be_found", "needs nowhere_to_be_found, which is not installed"),
        ("1 / 0", r"cannot be imported: ZeroDivisionError: division by zero \(.*\.py, line 1\)"),
        ("def f(:", "cannot be imported: SyntaxError"),
        ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_imported(desk, tmp_path, text, said):
    (tmp_path / f"broken_{desk}.py").write_text(text)
    with pytest.raises(HqmdError, match=said):
        load(f"py:broken_{desk}:f")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nothing", r"gave object of shape \(\)"),
        ("small", r"gave float64 of shape \(40, 96\) for a photo of shape \(80, 96, 3\); .* shape \(80, 96\)"),
        ("colours", r"gave uint8 of shape \(80, 96, 3\)"),
        ("complex_numbers", "gave complex128"),
        ("fails", r"failed: IndexError: .* \(.*\.py, line LINE\)"),
        ("leaves", "failed: SystemExit: so long"),
    ],
)
def test_what_a_function_gives_is_looked_at(desk, rgb, function, said):
    said = said.replace("LINE", str(MODULE.splitlines().index("    return metres(image)[:, :, 5]") + 1))
    with pytest.raises(HqmdError, match=f"py:{desk}:{function}.* {said}|py:{desk}:{function}: {said}"):
        load(f"py:{desk}:{function}")(rgb)


def test_one_photo_that_fails_does_not_end_the_run(hqmd, desk, photo, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(photo.read_bytes())
    Image.new("RGB", (40, 30)).save(tmp_path / "in" / "b.png")  # not of the size of its buffer
    result = hqmd("predict", "in", "-o", "out", "--format", "npy", "--model", f"py:{desk}:careless")
    assert result.returncode == 1 and "1 written, 1 failed" in result.stderr and "Traceback" not in result.stderr
    assert f"b.png: py:{desk}:careless failed: ValueError" in result.stderr.replace(f"{tmp_path}/", "")
    holes = hqmd("predict", "in/a.png", "-o", "h.npy", "--model", f"py:{desk}:holes")
    assert holes.returncode == 1 and "NaN or infinite" in holes.stderr and not (tmp_path / "h.npy").exists()


def test_the_photo_and_earlier_maps_are_safe_from_a_careless_function(desk, rgb):
    depth_of, before = load(f"py:{desk}:careless"), rgb.copy()
    first = depth_of(rgb)
    np.testing.assert_array_equal(rgb, before)
    depth_of(np.zeros_like(rgb))
    np.testing.assert_allclose(first, truth_of(rgb), rtol=1e-6)


def test_a_function_is_called_by_one_thread_at_a_time(desk, rgb):
    depth_of = load(f"py:{desk}:one_at_a_time")
    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(depth_of, [rgb] * 8))) == 8


def test_flip_averages_with_the_mirrored_photo(desk, rgb, tmp_path):
    (tmp_path / f"slope_{desk}.py").write_text(
        "import numpy as np\ndef f(image): return np.tile(np.arange(1., 97), (80, 1)) + image[..., 0]\n"
    )
    expected = np.arange(1.0, 97) / 2 + np.arange(96, 0, -1.0) / 2 + rgb[..., 0]
    np.testing.assert_allclose(load(f"py:slope_{desk}:f", flip=True)(rgb), expected, rtol=1e-6)


def test_what_was_loaded_is_itself_such_a_function(desk, rgb, tmp_path):
    (tmp_path / f"loaded_{desk}.py").write_text(f"from hqmd_cli import load\nmodel = load('py:{desk}:disparity')\n")
    depth_of = load(f"py:loaded_{desk}:model")
    assert depth_of.kind == "disparity"
    np.testing.assert_array_equal(depth_of(rgb), load(f"py:{desk}:disparity")(rgb))


def test_skip_existing_notices_a_changed_function(hqmd, desk, photo, tmp_path):
    flags = ("predict", photo, "-o", "out", "--format", "npy", "--skip-existing", "--model", f"py:{desk}:metres")
    assert hqmd(*flags).stdout != "" and hqmd(*flags).stdout == ""
    (tmp_path / f"{desk}.py").write_text(MODULE + "# another line\n")
    assert hqmd(*flags).stdout != ""


# Maps without metres, in every output.


@pytest.mark.parametrize(("function", "words"), [("disparity", "larger is nearer"), ("relative", "larger is farther")])
def test_no_output_claims_a_unit_that_is_not_there(hqmd, desk, photo, tmp_path, function, words):
    outputs = [word for name in ("d.png", "d.jpg", "d.npy", "d.tiff") for word in ("-o", name)]
    result = hqmd("predict", photo, *outputs, "--json", "--model", f"py:{desk}:{function}")
    assert result.returncode == 0, result.stderr
    with Image.open("d.png") as picture:
        assert words in picture.info["Description"] and "no metres" in picture.info["Description"]
    with Image.open("d.jpg") as picture:
        assert words in picture.info["comment"].decode()
    with Image.open("d.tiff") as picture:
        assert words in picture.tag_v2[TiffImagePlugin.IMAGEDESCRIPTION]
    record = json.loads((tmp_path / "d.json").read_text())
    assert record["unit"] == function == record["settings"]["kind"] and not {"near_m", "far_m"} & set(record)
    values = np.load("d.npy")
    ends = [values.max(), values.min()] if function == "disparity" else [values.min(), values.max()]
    assert [record["near"], record["far"]] == pytest.approx(ends)
    assert words in record["outputs"]["d.npy"] and words in record["remarks"]["d.png"]
    assert words in result.stderr.splitlines()[-1]
    without = (result.stderr + json.dumps(record)).replace("no metres", "")
    assert "metre" not in without and '_m": null' in without  # only vmin and vmax, which were not given


def test_a_folders_manifest_says_so_too(hqmd, desk, photo, tmp_path):
    assert hqmd("predict", photo, "-o", "out", "--model", f"py:{desk}:disparity").returncode == 0
    (row,) = map(json.loads, (tmp_path / "out" / "manifest.jsonl").read_text().splitlines())
    assert row["unit"] == "disparity" and row["near"] > row["far"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-o", "d.mm.png"), "d.mm.png (16-bit PNG in millimetres): needs metres"),
        (("-o", "d.ply"), "d.ply (points in metres"),
        (("-o", "d.glb"), "d.glb (mesh in metres"),
        (("-o", "d.normals.png"), "d.normals.png"),
        (("-o", "out", "--format", "npy,mm"), ".mm.png"),
        (("-o", "d.png", "--vmin", "1"), "--vmin: needs metres"),
        (("-o", "d.png", "--vmax", "4"), "--vmax: needs metres"),
        (("-o", "d.npy", "--scale-from", "3,4,2"), "--scale-from: needs metres"),
        (("-o", "d.png", "--model-kind", "depth"), "no metres (as its attribute kind says"),
    ],
)
def test_what_needs_metres_is_refused(hqmd, desk, photo, tmp_path, flags, said):
    before = sorted(tmp_path.iterdir())
    result = hqmd("predict", photo, *flags, "--model", f"py:{desk}:disparity")
    assert result.returncode == 1 and said in result.stderr and "no metres" in result.stderr
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"] == before


def test_near_is_bright_in_disparities_as_in_depths(hqmd, desk, photo):
    """The nearest pixel gets the colour of the near end, the farthest that of the far end, in either."""
    ends = []
    for function in ("metres", "disparity", "relative"):
        assert hqmd("predict", photo, "-o", f"{function}.png", "--model", f"py:{desk}:{function}").returncode == 0
        with Image.open(f"{function}.png") as picture:
            colours = np.asarray(picture)
        depth_m = truth_of(np.asarray(Image.open(photo).convert("RGB")))
        ends.append([colours[depth_m == end][0].tolist() for end in (depth_m.min(), depth_m.max())])
    near, far = ends[0]
    assert ends == [[near, far]] * 3 and sum(near) > sum(far) + 300


def test_a_legend_without_metres(rgb):
    values = truth_of(rgb)
    legend = Style(legend=True)
    depth = painted(rgb, values, 1, 6, legend)
    relative = painted(rgb, values, 1, 6, legend, "relative")
    disparity = painted(rgb, values, 6, 1, legend, "disparity")
    assert depth.shape == relative.shape == disparity.shape
    bar = slice(rgb.shape[1], rgb.shape[1] + 16)
    np.testing.assert_array_equal(depth[:, bar], relative[:, bar])
    text = slice(rgb.shape[1] + 16, None)
    ink = [int((picture[:, text] < 128).sum()) for picture in (depth, relative, disparity)]
    assert len(set(ink)) == 3  # other words
    middle = slice(rgb.shape[0] // 2 - 4, rgb.shape[0] // 2 + 4)
    assert (depth[middle, text] == 255).all() and not (relative[middle, text] == 255).all()


def test_a_video_of_disparities(hqmd, desk, tmp_path):
    frames = cv2.VideoWriter("clip.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    ramp = np.tile(np.linspace(20, 220, 64), (48, 1)).astype(np.uint8)[..., None]  # near is right
    for _ in range(3):
        frames.write(np.repeat(ramp, 3, axis=2))
    frames.release()
    flags = ("predict", "clip.mp4", "-o", "depth.mp4", "--model", f"py:{desk}:disparity")
    result = hqmd(*flags)
    assert result.returncode == 0, result.stderr
    assert "colours of disparity, larger is nearer, no metres: near " in result.stderr
    assert "metres" not in result.stderr.replace("no metres", "")
    _, shown = cv2.VideoCapture("depth.mp4").read()
    assert shown[:, -8:].mean() > shown[:, :8].mean() + 80
    assert "--vmax: needs metres" in hqmd(*flags, "--overwrite", "--vmax", "3").stderr


# In evaluate and compare.


def test_the_picture_on_which_a_model_failed_is_named(hqmd, desk, pairs):
    result = hqmd("evaluate", "--data", pairs, "--split", "val", "--model", f"py:{desk}:careless")
    assert result.returncode == 1 and f"b1: py:{desk}:careless failed: ValueError" in result.stderr


def judged(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_metres_are_judged_by_any_protocol(hqmd, desk, pairs):
    flags = ("evaluate", "--data", pairs, "--split", "val", "--json", "--model", f"py:{desk}:metres")
    result = hqmd(*flags)
    figures = judged(result)
    assert figures["metrics"]["AbsRel"] < 0.04 and figures["model"] == f"py:{desk}:metres"
    assert f"py:{desk}:metres, metres (assumed" in figures["remark"] and f"{desk}.py, SHA-256 " in figures["remark"]
    assert figures["remark"] in result.stderr
    assert "averaged with the mirrored photo's" in judged(hqmd(*flags, "--flip"))["remark"]


@pytest.mark.parametrize(("function", "fit"), [("disparity", "disparity"), ("relative", "depth")])
def test_what_has_no_metres_needs_a_fit(hqmd, desk, pairs, function, fit):
    flags = ("evaluate", "--data", pairs, "--split", "val", "--model", f"py:{desk}:{function}")
    plain = hqmd(*flags)
    assert plain.returncode == 1 and "claim no metres" in plain.stderr and plain.stdout == ""
    under_all = hqmd(*flags, "--protocol", "all")
    assert under_all.returncode == 1 and "no protocol fits it; write one" in under_all.stderr
    assert "without protocol hqmd: predictions of kind" in under_all.stderr
    wrong = hqmd(*flags, "--protocol", f"fitted_{'depth' if fit == 'disparity' else 'disparity'}.toml")
    assert wrong.returncode == 1 and "claim no metres" in wrong.stderr
    figures = judged(hqmd(*flags, "--protocol", f"fitted_{fit}.toml", "--json"))
    assert figures["metrics"]["AbsRel"] < 0.04
    assert f"no metres (as its attribute kind says; {desk}.py" in figures["remark"]


def test_a_function_that_gives_something_else_is_told_of(hqmd, desk, pairs):
    flags = ("evaluate", "--data", pairs, "--split", "val", "--protocol", "fitted_disparity.toml", "--json")
    inverted = judged(hqmd(*flags, "--model", f"py:{desk}:metres", "--model-kind", "disparity"))
    assert "these look like depths; if so, state with --model-kind" in inverted["remark"]
    assert "look like" not in judged(hqmd(*flags, "--model", f"py:{desk}:disparity"))["remark"]
    plain = ("evaluate", "--data", pairs, "--split", "val", "--json", "--model", f"py:{desk}:millimetres")
    assert "these look like millimetres" in judged(hqmd(*plain))["remark"]


@pytest.mark.slow
def test_compare_takes_all_sorts_of_models(hqmd, desk, pairs, tmp_path):
    models = [f"py:{desk}:metres", f"py:{desk}:undecided", "hqmd-indoor-small"]
    flags = ("--data", pairs, "--split", "val", "--protocol", "fitted_disparity.toml", "--model-kind", "disparity")
    result = hqmd("compare", *models, *flags, "-o", "table.md", "--picture", "grid.png", "--picture-rows", "1")
    assert result.returncode == 0, result.stderr
    table = (tmp_path / "table.md").read_text()
    assert f"py:{desk}:undecided, disparity, larger is nearer, no metres (as --model-kind says" in table
    assert f"py:{desk}:metres, metres (" not in table  # it took the word, as it says nothing itself
    with Image.open("grid.png") as picture:
        grid = np.asarray(picture.convert("RGB")).astype(int)
    truth, undecided = (panel(grid, column) for column in (1, 3))
    assert np.abs(truth - undecided).mean() < 12  # in the truth's own metres, once fitted
    alone = hqmd("compare", models[2], *flags)
    assert alone.returncode == 1 and "--model-kind disparity is for third-party models" in alone.stderr


def panel(grid, column):
    """The colours of one picture of a row of five: photo, truth and three models."""
    width = (grid.shape[1] - 120) / 5  # the bar is an inch of 120 pixels
    left = round(column * width + width / 4)
    middle = grid.shape[0] * 2 // 5
    return grid[middle - 10 : middle + 10, left : left + round(width / 2)]


@pytest.mark.parametrize(
    "command",
    [
        ("calibrate", "MODEL", "--data", "DATA"),
        ("export", "MODEL", "-o", "x.onnx"),
        ("merge", "MODEL", "MODEL", "-o", "both"),
        ("evaluate", "--model", "MODEL", "--data", "DATA", "--record"),
        ("train", "--data", "DATA", "-o", "run", "--start", "MODEL"),
    ],
)
def test_what_only_checkpoints_of_ours_can_be(hqmd, desk, pairs, command):
    names = {"MODEL": f"py:{desk}:metres", "DATA": pairs}
    result = hqmd(*(names.get(word, word) for word in command))
    assert result.returncode == 1 and "a checkpoint of hqmd's own" in result.stderr and "Traceback" not in result.stderr
