"""The four commands as a user meets them: files, exit codes, one line for an error."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli import app
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import read_depth_values
from hqmd_cli.files.home import bundled_folder
from hqmd_cli.models.recipes import read_recipe

PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
NO_COMMANDS = {"__init__", "options", "scoring_options"}  # what commands share
HEAVY = ("torch", "torchvision", "numpy", "cv2", "matplotlib", "timm", "PIL", "rich", "h5py")


@pytest.fixture
def checkpoint(trained_run):
    return trained_run / "best"


def one_line(result, code=1):
    """The error text, after checking that it is one line and no traceback."""
    assert result.returncode == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("hqmd:")]
    assert len(lines) == 1 and "Traceback" not in result.stderr
    return lines[0]


@pytest.mark.parametrize("statement", ["import hqmd_cli", "import hqmd_cli.app"])
def test_importing_loads_nothing_heavy(statement):
    code = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_help_loads_nothing_heavy():
    code = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules]))\n"
        "sys.argv = ['hqmd', '--help']\n"
        "from hqmd_cli.app import main\n"
        "main()"
    )
    lines = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    assert lines[-1] == "[]"
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= {"predict", "train", "evaluate", "compare"}


def test_each_file_of_commands_is_a_command_and_imported_only_where_it_is_asked_for():
    files = {path.stem for path in Path(app.__file__).with_name("commands").glob("*.py")}
    assert set(app.COMMANDS) == files - NO_COMMANDS
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print([m for m in sys.modules if m.startswith('hqmd_cli.commands.')]))\n"
        "sys.argv = ['hqmd', 'info', '--help']\n"
        "from hqmd_cli.app import main\n"
        "main()"
    )
    lines = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    assert " info " in lines[0]
    assert "hqmd_cli.commands.info" in lines[-1] and "hqmd_cli.commands.train" not in lines[-1]


def test_predict_writes_every_kind_at_the_photos_size(hqmd, checkpoint, photo, tmp_path):
    outputs = [tmp_path / name for name in ("d.png", "d.mm.png", "d.npy")]
    flags = [word for output in outputs for word in ("-o", output)]
    result = hqmd("predict", photo, *flags, "--model", checkpoint)
    assert result.returncode == 0, result.stderr
    depth_m = np.load(outputs[2])
    with Image.open(photo) as picture:
        assert depth_m.shape == picture.size[::-1] and depth_m.dtype == np.float32
    assert np.abs(read_depth_values(outputs[1]) / 1000 - depth_m).max() <= 0.0005 + 1e-6
    with Image.open(outputs[0]) as colours:
        assert colours.mode == "RGB" and colours.size == depth_m.shape[::-1]
    span, camera = result.stderr.splitlines()[-1].split("; camera: ")
    assert span == f"depth in metres, {depth_m.min():.2f}..{depth_m.max():.2f}" and "NYU Depth V2, assumed" in camera


def test_predict_a_folder_keeps_its_tree_and_survives_a_bad_file(hqmd, checkpoint, photo, tmp_path):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/a.png"):
        (source / name).write_bytes(photo.read_bytes())
    (source / "broken.jpg").write_text("no picture")
    result = hqmd("predict", source, "-o", tmp_path / "out", "--format", "color,npy", "--model", checkpoint)
    assert "broken.jpg" in one_line(result)
    written = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert written == ["a.npy", "a.png", "manifest.jsonl", "sub/a.npy", "sub/a.png"]
    assert "2 written, 1 failed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jpg", "-o", "d.png"], "missing.jpg: no such file"),
        (["PHOTO", "-o", "d.xyz"], ".mm.png"),
        (["PHOTO", "-o", "d.png", "--model", "nobody"], "nobody"),
        (["PHOTO", "-o", "d.png", "--device", "cuda:7"], "cuda:7"),
        (["PHOTO", "-o", "d.png", "--device", "meta"], "meta"),
        (["PHOTO", "-o", "d.png", "--format", "npy"], "--format"),
        (["x" * 300, "-o", "d.png"], "no such file"),
        (["PHOTO", "-o", "out", "--format", "jpeg2000"], "color, mm, npy"),
    ],
)
def test_predict_says_what_is_wrong(hqmd, photo, arguments, said, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = [] if "--model" in arguments else ["--model", checkpoint]
    result = hqmd("predict", *(photo if a == "PHOTO" else a for a in arguments), *model)
    assert said.lower() in one_line(result).lower()
    assert list(tmp_path.iterdir()) == []


def test_predict_leaves_out_what_it_wrote_below_the_source(hqmd, checkpoint, photo, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.png").write_bytes(photo.read_bytes())
    for _ in range(2):
        result = hqmd("predict", source, "-o", source / "depths", "--overwrite", "--model", checkpoint)
        assert result.returncode == 0, result.stderr
    assert [p.name for p in source.rglob("*.png")].count("a.png") == 2


def test_predict_writes_no_depth_that_is_none(hqmd, checkpoint, photo, tmp_path, monkeypatch):
    from hqmd_cli.inference.predictor import DepthPredictor

    monkeypatch.setattr(DepthPredictor, "__call__", lambda self, image: np.full(image.shape[:2], np.nan, np.float32))
    assert "NaN" in one_line(hqmd("predict", photo, "-o", tmp_path / "d.png", "--model", checkpoint))
    assert not (tmp_path / "d.png").exists()


def test_the_table_keeps_names_and_units_on_a_narrow_terminal(hqmd, checkpoint, pairs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table = hqmd("evaluate", "--data", pairs, "--split", "val", "--model", checkpoint).stdout
    assert "RMSE [m]" in table and "delta3" in table and "…" not in table


def test_wrong_usage_exits_with_2(hqmd, photo):
    assert hqmd("predict", photo).returncode == 2  # no -o
    assert hqmd("evaluate", "--protocol", "my-own").returncode == 2
    assert hqmd("train", "-o", "runs/x", "--size", "289").returncode == 2
    for size in ("0x9", "99999x99999"):
        assert hqmd("export", "m", "-o", "m.onnx", "--size", size).returncode == 2
    for weights in ("nan,1", "0,1", "inf,1"):
        assert hqmd("merge", "a", "b", "-o", "c", "--weights", weights).returncode == 2


def test_evaluate_prints_the_protocol_and_json(hqmd, checkpoint, pairs):
    arguments = ["evaluate", "--data", pairs, "--split", "val", "--model", checkpoint]
    table = hqmd(*arguments)
    assert table.returncode == 0, table.stderr
    for word in ("AbsRel", "RMSE", "bias", "protocol hqmd: ground truth as given, whole picture", "n = 2"):
        assert word in " ".join(table.stdout.split())
    row = json.loads(hqmd(*arguments, "--json").stdout)
    assert row["n"] == 2 and row["protocol"] == "hqmd"
    assert f"{row['metrics']['RMSE']:.3f} ±".lstrip("0") in table.stdout


def test_files_of_figures_say_how_the_model_saw(hqmd, checkpoint, pairs, tmp_path):
    files = [tmp_path / "table.csv", tmp_path / "each.csv"]
    flags = ("--data", pairs, "--split", "val", "--flip", "-o", files[0], "--per-picture", files[1])
    result = hqmd("compare", checkpoint, *flags)
    assert result.returncode == 0, result.stderr
    assert all("with --flip" in file.read_text() for file in files) and "with --flip" in result.stdout


@pytest.mark.parametrize("name", ["indoor-small", "tiny"])
def test_a_bundled_recipe_goes_by_its_name_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, train = read_recipe(name)
    assert (model, train) == read_recipe(str(bundled_folder() / "recipes" / f"{name}.toml"))
    with pytest.raises(HqmdError, match="no recipe 'indoor-smal'; there are paper, modern, indoor-small, "):
        read_recipe("indoor-smal")


def test_evaluate_refuses_what_the_data_cannot_give(hqmd, checkpoint, pairs):
    raw = hqmd("evaluate", "--data", pairs, "--split", "val", "--protocol", "eigen-raw", "--model", checkpoint)
    assert "raw" in one_line(raw)
    size = hqmd("evaluate", "--data", pairs, "--split", "val", "--protocol", "eigen-filled", "--model", checkpoint)
    assert "(480, 640)" in one_line(size)
    split = hqmd("evaluate", "--data", pairs, "--split", "dev", "--model", checkpoint)
    assert "train, val, all" in one_line(split)


def test_evaluate_without_data_says_how_to_get_it(hqmd, checkpoint, tmp_path, monkeypatch):
    monkeypatch.delenv("HQMD_DATA", raising=False)
    monkeypatch.setenv("HQMD_HOME", str(tmp_path))
    result = hqmd("evaluate", "--model", checkpoint)
    assert "nyu_depth_v2_labeled.mat" in one_line(result)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".md", ".csv", ".json", ".tex"])
def test_compare_writes_tables_and_a_picture(hqmd, trained_run, pairs, tmp_path, suffix):
    models = [trained_run / "best", trained_run / "last"]
    table, grid = tmp_path / f"table{suffix}", tmp_path / "grid.png"
    result = hqmd("compare", *models, "--data", pairs, "--split", "val", "-o", table, "--picture", grid)
    assert result.returncode == 0, result.stderr
    text = table.read_text(encoding="utf-8")
    escaped = {".tex": lambda s: s.replace("_", r"\_")}.get(suffix, lambda s: s)
    assert all(escaped(str(model)) in text for model in models) and "hqmd" in text
    with Image.open(grid) as picture:
        assert picture.size[0] > picture.size[1] / 2


def test_compare_refuses_a_model_named_twice(hqmd, checkpoint, pairs):
    assert "twice" in one_line(hqmd("compare", checkpoint, checkpoint, "--data", pairs))


@pytest.mark.slow
def test_a_run_whose_flags_were_choices_resumes(hqmd, pairs, tmp_path):
    """Typer makes them members of a StrEnum, which a state file must not hold."""
    flags = ("--data", pairs, "-o", tmp_path, "--backbone", "test_resnet", "--backbone-weights", "none")
    flags += ("--size", "32x48", "--batch-size", 2, "--epochs", 2, "--workers", 0)
    flags += ("--loss", "depth", "--decoder", "baseline", "--protocol", "hqmd")
    assert hqmd("train", *flags).returncode == 0
    result = hqmd("train", *flags, "--resume")
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_train_runs_from_flags_and_resumes(hqmd, pairs, tmp_path):
    run = tmp_path / "run"
    flags = ["--backbone", "test_efficientnet", "--backbone-weights", "none", "--size", "32x48", "--workers", 0]
    flags += ["--data", pairs, "--batch-size", 2, "-o", run, "--device", "cpu"]
    assert hqmd("train", *flags, "--epochs", 2, "--max-steps", 3).returncode == 0
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 3]
    config = json.loads((run / "best" / "config.json").read_text())
    assert config["model"]["backbone"] == "test_efficientnet" and config["training"]["batch_size"] == 2
    assert "pass --resume" in one_line(hqmd("train", *flags, "--epochs", 2, "--max-steps", 3))
    assert "batch_size" in one_line(
        hqmd("train", *flags, "--epochs", 2, "--max-steps", 3, "--batch-size", 1, "--resume")
    )


@pytest.mark.slow
def test_train_takes_a_recipe_and_flags_go_before_it(hqmd, pairs, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[model]\nbackbone = "test_efficientnet"\nsize = [32, 48]\n[training]\nepochs = 1\nbatch_size = 4\nlr = 0.5\n'
    )
    flags = ["--recipe", recipe, "--data", pairs, "--backbone-weights", "none", "--workers", 0, "--lr", 1e-3]
    assert hqmd("train", *flags, "-o", tmp_path / "run").returncode == 0
    training = json.loads((tmp_path / "run" / "best" / "config.json").read_text())["training"]
    assert (training["batch_size"], training["lr"]) == (4, 1e-3)
    recipe.write_text("[training]\nepoch = 1\n")
    assert "epoch" in one_line(hqmd("train", *flags, "-o", tmp_path / "other"))


@pytest.mark.slow
def test_a_process_that_ends_early_loses_nothing_of_what_it_says(tmp_path):
    """Without torch nothing is tidied up at the end; a pipe, which is written in blocks, must have all by then."""
    photos = [shutil.copy(PHOTO, tmp_path / f"{i}{'x' * 100}.jpg") for i in range(3)]
    command = [sys.executable, "-m", "hqmd_cli", "predict", *photos, "-o", tmp_path / "out", "-m", "hqmd-indoor-small"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = done.stdout.splitlines()
    assert len(written) == 3 and all(Path(line).is_file() for line in written)
    assert "3 written" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("predict", "x.png", "-o", ""), '-o "": empty'),
        (("predict", "x.png", "--output="), "--output=: empty"),
        (("predict", "", "-o", "y.png"), '"": empty'),
        (("train", "--data", ""), '--data "": empty'),
        (("predict", "x.png", "--output=~/y.png"), "--output=~/y.png: the shell has not expanded ~"),
        (("predict", "~/x*.png", "-o", "y.png"), "~/x*.png: the shell has not expanded ~"),
        (("train", "--data", "x", "-o", "y", "--new-layers"), "--new-layers: is for --start"),
    ],
)
def test_what_the_shell_left_and_what_does_nothing_is_refused(hqmd, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = hqmd(*arguments)
    assert result.returncode == 1 and said in result.stderr and not list(tmp_path.iterdir())
