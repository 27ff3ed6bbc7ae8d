"""The catalogue: what it states is complete and sourced, and its short names open what others publish, from a hub on
this machine.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli.checkpoints import catalogue, hub
from hqmd_cli.checkpoints.catalogue import COMMIT, PLACE, Entry, entries, facts, find_entry, keep, kept
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference import open as opening
from hqmd_cli.inference.foreign.onnx_profile import Profile
from hqmd_cli.inference.open import OpenModel, OpenOptions, open_model
from hqmd_cli.models import SYSTEMS
from hqmd_cli.units import KINDS
from hub_server import HubServer, commit_of, environment

ENTRIES = entries()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_complete_and_has_sources(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.kind in KINDS and entry.focal in ("", "needs", "gives") and entry.commercial in ("yes", "no", "ask")
    assert entry.title and entry.licence and entry.source and (entry.hf or entry.onnx)
    assert all(re.match(r"https://(github\.com|huggingface\.co)/\S+", source) for source in entry.source)
    assert bool(entry.onnx) == bool(entry.profile)
    for place in filter(None, (entry.hf, entry.onnx)):
        match = PLACE.fullmatch(place)
        assert match and (match["revision"] is None or COMMIT.fullmatch(match["revision"])), place
        assert bool(match["file"]) == (place == entry.onnx)
        if match["revision"] and match["revision"][:7] not in "".join(entry.source):
            assert "all digits" in "".join(entry.source)
    if entry.profile:
        profile = Profile.from_flat(facts()["profile"][entry.profile])
        assert profile.kind == entry.kind and profile.source.startswith("https://github.com/")
        assert bool(profile.focal) == (entry.focal == "needs") and (profile.after == "moge") == (entry.focal == "gives")


def test_every_profile_is_valid() -> None:
    for values in facts()["profile"].values():
        Profile.from_flat(values)


def test_every_system_is_in_it() -> None:
    assert set(facts()["system"]) == set(SYSTEMS)


def test_names() -> None:
    assert find_entry("da2-small") and find_entry("nothing") is None
    with pytest.raises(HqmdError, match="da2-small: a third-party model; this needs a checkpoint"):
        hub.find_checkpoint("da2-small")
    with pytest.raises(HqmdError, match=r"no model 'da2-smal'.*what `hqmd models` lists"):
        hub.find_model("da2-smal")
    assert not set(ENTRIES) & set(hub.bundled_models())


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "da2-small").mkdir()
    (tmp_path / "da2-small" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert hub.find_model("da2-small") == Path("da2-small")
    monkeypatch.setattr(catalogue, "read_toml", lambda path: pytest.fail("read it for a bundled model"))
    catalogue.facts.cache_clear()
    assert hub.find_model("hqmd-indoor") == hub.bundled_models()["hqmd-indoor"]
    monkeypatch.undo()
    catalogue.facts.cache_clear()


def test_which_file_of_an_entry_is_opened() -> None:
    entry = ENTRIES["da2-small"]
    assert entry.address().startswith("onnx:onnx-community/depth-anything-v2-small@34f40a4")  # no torch needed
    assert entry.address("torch").startswith("hf:depth-anything/Depth-Anything-V2-Small-hf@5426e4f")
    assert ENTRIES["zoedepth"].address().startswith("hf:Intel/zoedepth-nyu-kitti@f364d4c")
    with pytest.raises(
        HqmdError, match="--backend onnx: of zoedepth the catalogue knows only weights for transformers"
    ):
        ENTRIES["zoedepth"].address("onnx")
    with pytest.raises(HqmdError, match="--backend torch: of moge2-small the catalogue knows only an ONNX file"):
        ENTRIES["moge2-small"].address("torch")


def test_the_first_download_is_kept(home: Path) -> None:
    entry, commit = ENTRIES["moge2-base"], "a" * 40
    assert entry.address() == "onnx:Ruicheng/moge-2-vitb-normal-onnx/model.onnx"
    catalogue.keep_commit(entry, f"onnx:Ruicheng/moge-2-vitb-normal-onnx@{commit}/model.onnx")
    assert entry.address() == f"onnx:Ruicheng/moge-2-vitb-normal-onnx@{commit}/model.onnx"
    keep("moge2-base", {"tried": "by hand"})
    assert kept()["moge2-base"] == {"Ruicheng/moge-2-vitb-normal-onnx": commit, "tried": "by hand"}
    assert entry.tried == "by hand" and not ENTRIES["da2-small"].tried
    (home / "catalogue.json").write_text("[")  # damaged: found out again
    assert kept() == {} and entry.address() == "onnx:Ruicheng/moge-2-vitb-normal-onnx/model.onnx"


def opened(kind: str) -> OpenModel:
    return OpenModel("hf:org/name", lambda image: image[..., 0].astype(np.float32), "torch", "fp32", str, kind=kind)  # type: ignore[arg-type]


def test_a_catalogued_metric_model_that_gives_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """M1: without depth_estimation_type in its config, a metric Depth Anything is read as a relative one."""
    monkeypatch.setattr(opening, "open_foreign", lambda address, options: opened("disparity"))
    with pytest.raises(
        HqmdError, match="da2-metric-indoor-small: the catalogue says metres, but hf:org/name gives disp"
    ):
        open_model("da2-metric-indoor-small", OpenOptions())
    monkeypatch.setattr(opening, "open_foreign", lambda address, options: opened("depth"))
    assert open_model("da2-metric-indoor-small", OpenOptions()).origin == ""
    said = open_model("da2-metric-indoor-large", OpenOptions()).origin
    assert said == "licence CC-BY-NC-4.0: no commercial use"
    monkeypatch.setattr(opening, "open_foreign", lambda address, options: opened("disparity"))
    assert "no commercial use" in open_model("da2-base", OpenOptions()).in_words


def test_the_list(hqmd: Callable) -> None:
    result = hqmd("models")
    assert (result.returncode, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert all(f"│ {name} " in result.stdout for name in ENTRIES)
    listed = {row["name"]: row for row in json.loads(hqmd("models", "--json").stdout)["catalogue"]}
    assert list(listed) == list(ENTRIES)
    assert listed["depth-pro"]["commercial"] == "no" and listed["depth-pro"]["tried"] is None
    assert listed["da2-small"]["parameters"] == 24.8 and listed["zoedepth"]["parameters"] is None


def test_one_is_described(hqmd: Callable) -> None:
    text = hqmd("info", "depth-pro").stdout
    assert "gives: metres; gives the focal length" in text and "for research only; commercial use: no" in text
    assert "opens as: hf:apple/DepthPro-hf\n" in text and "source: https://" in text and "tried here: no" in text
    assert json.loads(hqmd("info", "da2-small", "--json").stdout)["licence"] == "Apache-2.0"


def test_listing_imports_neither_torch_nor_numpy_backends() -> None:
    code = """
import sys
sys.argv = ["hqmd", "models"]
from hqmd_cli.app import main
try:
    main()
except SystemExit:
    pass
print([name for name in ("torch", "transformers", "onnxruntime", "cv2", "scipy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.slow
def test_a_cold_predict_does_not_read_it(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)).save(tmp_path / "photo.png")
    code = f"""
import sys
sys.argv = ["hqmd", "predict", "{tmp_path}/photo.png", "-o", "{tmp_path}/d.npy", "-m", "hqmd-indoor-small"]
from hqmd_cli.app import main
try:
    main()
except SystemExit:
    pass
kept_out = ("hqmd_cli.checkpoints.catalogue", "hqmd_cli.inference.foreign")
read = [name for name in sys.modules if name.startswith(kept_out)]
print([*read, *(name for name in ("tomllib", "importlib.metadata") if name in sys.modules)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert (tmp_path / "d.npy").is_file()


def run(endpoint: str, home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    env = environment(endpoint, home, HQMD_HOME=str(home / "hqmd"), **settings)
    return subprocess.run([sys.executable, "-m", "hqmd_cli", *words], env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_predict_and_verify_by_a_short_name(tmp_path: Path) -> None:
    """Tiny models in the place of the published ones: pinned, from the hub, offline, damaged, not to be sold."""
    pytest.importorskip("transformers")
    sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
    from onnx_graphs import depth_anything_v2, moge

    from tiny_models import save_model

    base, small = "onnx-community/depth-anything-v2-base", "Ruicheng/moge-2-vitb-normal-onnx"
    (tmp_path / "base" / "onnx").mkdir(parents=True)
    (tmp_path / "moge").mkdir()
    depth_anything_v2(tmp_path / "base" / "onnx" / "model.onnx")
    across, down = np.meshgrid(np.linspace(-0.8, 0.8, 80), np.linspace(-0.6, 0.6, 60))
    depth = 2 + across + 0.5 * np.sin(5 * down)
    points = np.dstack([across * depth, down * depth, depth])
    moge(tmp_path / "moge" / "model.onnx", points, np.ones((60, 80)), 1.0)
    metric = save_model("depth-anything-metric", tmp_path / "metric")
    revision = PLACE.fullmatch(ENTRIES["da2-base"].onnx)["revision"]  # type: ignore[index]
    large = "depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf"
    models = {(base, revision): tmp_path / "base", (small, "main"): tmp_path / "moge", (large, "main"): metric}
    photo, home = tmp_path / "photo.png", tmp_path / "hub"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)).save(photo)
    with HubServer(models) as server:
        done = run(server.endpoint, home, "predict", str(photo), "-o", str(tmp_path / "d.npy"), "-m", "da2-base")
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("licence CC-BY-NC-4.0: no commercial use") == 1
        assert "disparity, larger is nearer, no metres (by the profile depth-anything-v2" in done.stderr
        assert any(f"{base}/resolve/{revision}/onnx/model.onnx" in asked for asked in server.requests)  # as pinned

        done = run(server.endpoint, home, "models", "--verify", "moge2-base")
        assert done.returncode == 0 and "licence: MIT" in done.stdout, done.stderr
        commit = commit_of(small, "main")
        assert f"moge2-base: onnx:{small}@{commit}/model.onnx, metres" in done.stdout
        found = json.loads((home / "hqmd" / "catalogue.json").read_text())["moge2-base"]
        assert found[small] == commit and "s a picture" in found["tried"]

        done = run(server.endpoint, home, "predict", str(photo), "-o", str(tmp_path / "m.mm.png"), "-m",
                   "da2-metric-indoor-large", "--json")  # fmt: skip
        assert done.returncode == 0 and "no commercial use" in done.stderr, done.stderr
        assert json.loads((tmp_path / "m.json").read_text())["settings"]["model"] == (
            f"hf:{large}@{commit_of(large, 'main')}"
        )
    offline = ("predict", str(photo), "-o", str(tmp_path / "again.npy"), "-m", "moge2-base")
    done = run(server.endpoint, home, *offline, HF_HUB_OFFLINE="1")  # by the commit that was kept
    assert done.returncode == 0, done.stderr
    done = run(server.endpoint, home, "models", "--verify", "zoedepth", HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and "cannot be reached: HF_HUB_OFFLINE is set" in done.stderr
    done = run(server.endpoint, home, "models", "--verify", "zoe")
    assert done.returncode == 1 and "no model of the catalogue named 'zoe'" in done.stderr


@pytest.mark.slow
def test_a_damaged_download_is_refused(tmp_path: Path) -> None:
    """It lies in a folder of the repository, as the ONNX files of others do."""
    from hqmd_cli.checkpoints import hub_download

    folder = tmp_path / "cache" / "snapshots" / "main"
    (folder / "onnx").mkdir(parents=True)
    blob = tmp_path / "cache" / "blob"
    blob.mkdir()
    stored = blob / ("b" * 64)  # no content has this hash
    stored.write_bytes(b"graph")
    (folder / "onnx" / "model.onnx").symlink_to(stored)
    with pytest.raises(HqmdError, match=r"org/name: model\.onnx arrived damaged"):
        for path in sorted(folder.rglob("*")):
            hub_download.require_arrived("org/name", path)
    assert not stored.exists()


def test_entries_are_read_once() -> None:
    assert facts() is facts() and isinstance(ENTRIES["da2-small"], Entry)
