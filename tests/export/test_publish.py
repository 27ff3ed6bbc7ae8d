"""`hqmd push`: to hub_server.py, and back by hub.py, in processes of their own as test_hub.py says why."""

import hashlib
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hqmd_cli.checkpoints.card import model_card
from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import bundled_models
from hqmd_cli.errors import HqmdError
from hqmd_cli.export import publish as publishing
from hqmd_cli.installed import how_to_install
from hub_server import USERS, HubServer, environment

PUSH = """
import json, os, sys
from pathlib import Path
from hqmd_cli.errors import HqmdError
from hqmd_cli.checkpoints.hub import find_checkpoint
from hqmd_cli.export.publish import push_checkpoint, require_pushable
for wish in json.loads(sys.argv[1]):
    notes = []
    os.environ.pop("HF_TOKEN", None)
    if token := wish.get("token", "hf_writer"):
        os.environ["HF_TOKEN"] = token
    try:
        require_pushable(wish["name"])
        answer = push_checkpoint(Path(wish["folder"]), wish["name"], wish.get("private", False), notes.append)
        if "fetch" in wish:
            notes.append(str(find_checkpoint(wish["name"])))
    except HqmdError as error:
        answer = f"refused: {error}"
    print(json.dumps([answer, *notes]))
assert "torch" not in sys.modules
"""


def push_all(endpoint: str, home: Path, wishes: list[dict], **settings: str) -> list[list[str]]:
    """What each of the wishes {folder, name, token, private} ended in, what was told, and what `fetch` brought."""
    done = subprocess.run(
        [sys.executable, "-c", PUSH, json.dumps(wishes)],
        env=environment(endpoint, home, **settings),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A whole one, with a graph, a card as hqmd writes it, and something that is no part of it."""
    folder = shutil.copytree(bundled_models()["hqmd-indoor-small"], tmp_path / "best")
    (folder / "README.md").write_text(model_card("best", read_info(folder)))
    (folder / "secrets.txt").write_text("not for the hub")
    return folder


@pytest.mark.slow
def test_what_is_pushed_comes_back(checkpoint: Path, tmp_path: Path) -> None:
    """Made, pushed, replaced by another commit whose graph is gone there; each downloaded and compared byte by byte."""
    files = ("config.json", "model.safetensors", "model.onnx")
    first = {name: (checkpoint / name).read_bytes() for name in files}
    with HubServer({}, tmp_path / "store", USERS) as server:
        command = [sys.executable, "-m", "hqmd_cli", "push", str(checkpoint), "org/rooms", "--private"]
        env = environment(server.endpoint, tmp_path, HF_TOKEN="hf_writer")
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == f"{server.endpoint}/org/rooms"
        assert server.private == {"org/rooms": True} and server.commits == [("org/rooms", "hqmd: step 2160")]
        told = subprocess.run([*command[:3], "info", "org/rooms", "--json"], env=env, capture_output=True, check=True)
        name, _, commit = json.loads(told.stdout)["model"].partition("@")
        (folder,) = tmp_path.glob(f"hub/models--org--rooms/snapshots/{commit}")
        assert name == "org/rooms" and {name: (folder / name).read_bytes() for name in files} == first
        card = (folder / "README.md").read_text()
        assert "# rooms\n" in card and "--model org/rooms" in card
        assert not any(path.name == "secrets.txt" for path in (tmp_path / "store").rglob("*"))
        assert sum("PUT" in request for request in server.requests) == 3  # weights, graph and hashes, as LFS objects

        # Another graph instead of the first, whose offsets would not be those of the new weights.
        (checkpoint / "model.onnx").rename(checkpoint / "model.int8.onnx")
        weights = bytearray(first["model.safetensors"])
        weights[-1] ^= 1
        (checkpoint / "model.safetensors").write_bytes(weights)
        config = json.loads(first["config.json"]) | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
        (checkpoint / "config.json").write_text(json.dumps(config))
        (checkpoint / "README.md").write_text("---\nlibrary_name: hqmd\n---\nby hand\n")
        wish = {"folder": str(checkpoint), "name": "org/rooms"}
        ((answer, fetched),) = push_all(server.endpoint, tmp_path, [{**wish, "fetch": True}])
        again = Path(fetched)
        assert answer == f"{server.endpoint}/org/rooms"
        assert again != folder and (again / "model.safetensors").read_bytes() == weights
        assert sorted(path.name for path in again.iterdir()) == [
            "README.md",
            "config.json",
            "model.int8.onnx",
            "model.safetensors",
            "photo_hashes.npy",
        ]
        assert "by hand" in (again / "README.md").read_text()
        assert len(server.commits) == 2


@pytest.mark.slow
def test_what_cannot_be_pushed(checkpoint: Path, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(checkpoint / "config.json", empty)
    here = str(checkpoint)
    with HubServer({("me/public", "main"): public}, tmp_path / "store", USERS) as server:

        def ends(*wishes: dict, **settings: str) -> list[str]:
            return [row[0] for row in push_all(server.endpoint, tmp_path, list(wishes), **settings)]

        mine, there = {"folder": here, "name": "me/rooms"}, {"folder": here, "name": "org/rooms"}
        no_token, unknown, reader, fine, stranger, seen, nothing = ends(
            {**mine, "token": ""},
            {**mine, "token": "hf_wrong"},
            {**mine, "token": "hf_reader"},
            {**there, "token": "hf_fine"},
            {**mine, "name": "google/rooms"},
            {**mine, "name": "me/public", "private": True},
            {**mine, "folder": str(empty)},
        )
        assert no_token.startswith("refused: me/rooms: no token found; run `hf auth login`, or set HF_TOKEN")
        assert "does not know this token" in unknown
        assert "the token may read only" in reader
        assert "org/rooms: the token may not write there" in fine  # the hub itself refused
        assert "me is not in google; the token may write to me, org" in stranger
        assert "me/public: exists already, and is public" in seen
        assert "has no model.safetensors" in nothing
        assert server.commits == [] and not list(public.iterdir())
    (gone,) = ends(mine)
    assert "me/rooms: the Hugging Face hub cannot be reached" in gone
    (offline,) = ends(mine, HF_HUB_OFFLINE="1")
    assert "cannot be reached" in offline


@pytest.mark.parametrize(
    "name", ["rooms", "me/rooms@v2", "me/a/b", "/rooms", "me/", "", "me/ro oms", "./runs", "me/a--b", "me/räume"]
)
def test_what_is_no_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi.whoami", lambda *_: pytest.fail("asked the hub for no name"))
    with pytest.raises(HqmdError, match="not a name to push to") as refusal:
        publishing.require_pushable(name)
    assert "\n" not in str(refusal.value)


def test_without_the_extra_it_is_said(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkpoint / "model.onnx").unlink()
    (tmp_path / "place").mkdir()
    monkeypatch.setattr(publishing, "find_spec", lambda name: None)
    told: list[str] = []
    files = publishing.prepare(checkpoint, tmp_path / "place", "me/rooms", told.append)
    assert files == ["config.json", "model.safetensors", "README.md", "photo_hashes.npy"]
    assert told == [f"no graph for ONNX Runtime; to make one: {how_to_install('onnxscript')}"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("onnxscript") is None, reason="the extra export is not installed")
def test_a_graph_is_made_where_there_is_none(trained_run: Path, tmp_path: Path, quick_export: None) -> None:
    from hqmd_cli.inference.engines.check_pictures import check_pictures
    from hqmd_cli.inference.engines.onnx import OnnxEngine

    before = sorted(path.name for path in (trained_run / "best").iterdir())
    told: list[str] = []
    files = publishing.prepare(trained_run / "best", tmp_path, "me/rooms", told.append)
    assert told == [] and "model.onnx" in files
    assert sorted(path.name for path in (trained_run / "best").iterdir()) == before
    picture = next(check_pictures())
    assert OnnxEngine(tmp_path / "model.onnx")(picture).shape == picture.shape[:2]


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [(), pytest.param(("--compile",), marks=pytest.mark.long)])
def test_train_looks_first_tracks_and_publishes_its_best(compiled: tuple, pairs: Path, tmp_path: Path) -> None:
    """All that a run may be asked for at once."""
    with HubServer({}, tmp_path / "store", USERS) as server:
        command = [
            sys.executable, "-m", "hqmd_cli", "train", "--data", str(pairs), "--backbone", "test_efficientnet",
            "--backbone-weights", "none", "--size", "32x48", "--batch-size", "2", "--epochs", "1", "--workers", "0",
            *compiled, "--track", "tensorboard",
        ]  # fmt: skip
        env = environment(server.endpoint, tmp_path, HF_TOKEN="hf_writer")
        run = tmp_path / "run"
        nonsense = [*command, "-o", str(run), "--push-to-hub", "org/"]
        refused = subprocess.run(nonsense, env=env, capture_output=True, check=False)
        assert refused.returncode == 1 and not run.exists()  # before the first step
        command += ["-o", str(run), "--push-to-hub", "org/rooms"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert server.commits == [("org/rooms", "hqmd: step 2")]
        pushed = json.loads((run / "best" / "config.json").read_text())
        assert "--push-to-hub org/rooms" in pushed["command"] and str(tmp_path) not in pushed["command"]
        assert list(run.rglob("events.out.tfevents*")) and (run / "curves.png").exists()
        assert (run / "samples" / "epoch-001.png").exists()
