"""hf: models of `transformers`, each family tiny and with random weights (tiny_models.py), from folders and from a hub
on this machine. What holds of all foreign models is in test_functions.py.
"""

import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import hqmd_cli
from hqmd_cli.api import load
from hqmd_cli.checkpoints.hub import bundled_models
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.regular import file_hash
from hqmd_cli.inference.foreign import hugging_face
from hqmd_cli.inference.foreign.output_kinds import meaning_of
from hqmd_cli.inference.open import OpenOptions
from hqmd_cli.installed import how_to_install
from hub_server import HubServer, commit_of

if find_spec("transformers") is None:
    pytest.skip("the extra hub is not installed", allow_module_level=True)

import torch
import transformers

from tiny_models import FAMILIES, save_model

SIZE = (57, 83)  # (H, W): no multiple of anything
OPEN = {"dpt": "disparity", "dpt-hybrid": "disparity"}  # what the user has to state


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Family -> its folder, made when it is first asked for."""
    top = tmp_path_factory.mktemp("models")

    def folder(family):
        return top / family if (top / family).is_dir() else save_model(family, top / family)

    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks as small as these are slower in several, much where others compute on the same cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def rgb():
    """A photo in which something is to be seen."""
    noise = torch.Generator().manual_seed(3)
    small = torch.rand(1, 3, 6, 9, generator=noise)
    large = torch.nn.functional.interpolate(small, SIZE, mode="bicubic").clamp(0, 1)[0]
    return (large.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def opened(folder, **wish):
    return load(f"hf:{folder}", **{"kind": OPEN.get(Path(folder).name)} | wish)


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "depth-pro-without-fov"])  # theirs fails on it
def test_each_family_gives_what_transformers_own_pipeline_gives(models, rgb, family):
    folder = models(family)
    pipeline = transformers.pipeline("depth-estimation", model=str(folder), device="cpu")
    expected = pipeline(Image.fromarray(rgb))["predicted_depth"].numpy()
    if "depth-pro" not in family:  # what cubic interpolation makes of edges is kept in the network's own range
        given = raw_answer(folder, rgb)[1].predicted_depth
        expected = expected.clip(float(given.min()), float(given.max()))
    depth_of = opened(folder)
    depth = depth_of(rgb)
    assert depth.shape == SIZE and depth.dtype == np.float32 and depth.std() > 1e-3 * abs(depth.mean())
    np.testing.assert_allclose(depth, expected, rtol=1e-5, atol=1e-6)
    others = {"depth-anything": "disparity", "prompt-depth-anything": "relative"} | OPEN
    assert depth_of.kind == others.get(family, "depth")


def raw_answer(folder, rgb):
    """The processor, and what the network itself says."""
    model = transformers.AutoModelForDepthEstimation.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    with torch.inference_mode():
        return processor, model(**processor(images=Image.fromarray(rgb), return_tensors="pt"))


@pytest.mark.slow
@pytest.mark.parametrize(("family", "kind"), [("depth-pro", "depth"), ("depth-pro-without-fov", "relative")])
def test_depth_pro_by_hand(models, rgb, family, kind):
    """Its inverse depth is for a focal length as long as the photo is wide: metres, once that is known."""
    _, answer = raw_answer(models(family), rgb)
    inverse = answer.predicted_depth[None]
    if kind == "depth":
        field_of_view = float(answer.field_of_view[0])
        assert 20 < field_of_view < 120
        inverse = inverse * 2 * np.tan(np.radians(field_of_view) / 2)
    inverse = torch.nn.functional.interpolate(inverse, SIZE, mode="bilinear")[0, 0].clamp(1e-4, 1e4)
    depth_of = opened(models(family))
    np.testing.assert_allclose(depth_of(rgb), 1 / inverse.numpy(), rtol=1e-4)
    assert depth_of.kind == kind


@pytest.mark.slow
def test_zoedepth_by_hand(models, rgb):
    """Its processor lays a frame round the photo, which has to come off before sizes are the photo's."""
    _, answer = raw_answer(models("zoedepth"), rgb)
    top, left = (int(np.sqrt(side / 2) * 3) for side in SIZE)
    framed = (SIZE[0] + 2 * top, SIZE[1] + 2 * left)
    depth = torch.nn.functional.interpolate(answer.predicted_depth[None], framed, mode="bicubic")[0, 0]
    depth = depth.clamp(answer.predicted_depth.min(), answer.predicted_depth.max())
    np.testing.assert_allclose(opened(models("zoedepth"))(rgb), depth[top:-top, left:-left].numpy(), rtol=1e-5)


@pytest.mark.slow
def test_zoedepths_own_mirror_is_ours(models, rgb):
    processor, answer = raw_answer(models("zoedepth"), rgb)
    _, mirrored = raw_answer(models("zoedepth"), np.ascontiguousarray(rgb[:, ::-1]))
    own = processor.post_process_depth_estimation(answer, [SIZE], outputs_flipped=mirrored)[0]["predicted_depth"]
    ours = opened(models("zoedepth"), flip=True)(rgb)
    np.testing.assert_allclose(ours, own.numpy(), rtol=5e-4)  # ours stays within what the network gave
    assert np.abs(ours - opened(models("zoedepth"))(rgb)).max() > 1e-4


def test_edges_stay_within_what_the_network_gave(models, rgb, monkeypatch):
    """M6: a step from 0.1 to 9 m; cubic interpolation alone would go below zero beside it, and above."""
    model = hugging_face.open_model(f"hf:{models('depth-anything-metric')}", OpenOptions())
    step = torch.full((1, 32, 32), 0.1)
    step[:, :, 16:] = 9
    answer = transformers.modeling_outputs.DepthEstimatorOutput(predicted_depth=step)
    theirs = model.predict.processor.post_process_depth_estimation(answer, [SIZE])[0]["predicted_depth"]
    assert theirs.min() < 0 and theirs.max() > 9
    monkeypatch.setattr(model.predict, "network", lambda **inputs: answer)
    ours = model(rgb)
    np.testing.assert_allclose(ours, theirs.clamp(0.1, 9).numpy(), rtol=1e-6)


@pytest.mark.slow
def test_depth_pro_gives_its_camera_and_takes_a_known_one(models, rgb):
    """Its metres follow the focal length; ml-depth-pro divides inverse depth by the one it is given."""
    model = load(f"hf:{models('depth-pro')}").model
    seen = model.sees(rgb, None)
    field_of_view = raw_answer(models("depth-pro"), rgb)[1].field_of_view
    assert seen.focal_px == pytest.approx(SIZE[1] / 2 / np.tan(np.radians(float(field_of_view[0])) / 2), rel=1e-5)
    told = model.sees(rgb, 2 * seen.focal_px)
    np.testing.assert_allclose(told.depth, 2 * seen.depth, rtol=1e-5)
    assert load(f"hf:{models('depth-pro-without-fov')}").model.sees is None


def test_a_library_that_ignores_metric_settings_is_refused(models, monkeypatch):
    """M1: it would open the model, and give relative depth."""

    class OfOld(transformers.PretrainedConfig):
        model_type = "depth_anything"

    old = OfOld(depth_estimation_type="metric", max_depth=20)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lambda *args, **also: old)
    with pytest.raises(HqmdError, match="too old for metric Depth Anything"):
        opened(models("depth-anything-metric"))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 40), (40, 1), (1, 1), (3, 3), (300, 20)])
def test_photos_of_odd_sizes(models, size):
    photo = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    for family in ("dpt", "depth-pro"):  # those whose processors take any shape
        assert opened(models(family))(photo).shape == size


def test_a_processors_settings_of_old(models, tmp_path, rgb):
    """As published with the first DPTs, before image processors were called so."""
    copy = shutil.copytree(models("dpt"), tmp_path / "dpt")
    old = {"feature_extractor_type": "DPTFeatureExtractor", "size": 32, "ensure_multiple_of": 1, "resample": 3}
    old |= {"do_resize": True, "keep_aspect_ratio": False, "do_normalize": True}
    (copy / "preprocessor_config.json").write_text(json.dumps(old | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
    now = json.loads((models("dpt") / "preprocessor_config.json").read_text())
    assert (now["image_mean"], now["resample"]) == ([0.5] * 3, 3)
    np.testing.assert_array_equal(opened(copy)(rgb), opened(models("dpt"))(rgb))


def test_a_processor_without_a_way_back(models, rgb, monkeypatch):
    """Bicubically, as DPT's own does it."""
    expected = opened(models("dpt"))(rgb)
    monkeypatch.delattr(transformers.DPTImageProcessor, "post_process_depth_estimation")
    np.testing.assert_allclose(opened(models("dpt"))(rgb), expected, rtol=1e-6)


def test_a_photo_that_a_model_cannot_take_is_refused_by_its_name(models):
    with pytest.raises(HqmdError, match=r"hf:.*zoedepth failed on a photo of 2 x 3 pixels: \w+Error: "):
        opened(models("zoedepth"))(np.zeros((3, 2, 3), np.uint8))


def test_threads_do_not_mix_up_their_photos(models, rgb):
    depth_of = opened(models("depth-anything"))
    photos = [rgb, rgb[::-1].copy(), rgb[:20], rgb[:, :30]]
    alone = [depth_of(photo) for photo in photos]
    with ThreadPoolExecutor(4) as threads:
        for depth, expected in zip(threads.map(depth_of, photos * 3), alone * 3, strict=True):
            np.testing.assert_array_equal(depth, expected)


def config(model_type, **settings):
    return SimpleNamespace(model_type=model_type, **settings)


@pytest.mark.parametrize(
    ("settings", "repo", "kind"),
    [
        (config("depth_anything", depth_estimation_type="relative", max_depth=1), "", "disparity"),
        (config("depth_anything", depth_estimation_type="metric", max_depth=80), "", "depth"),
        (config("depth_anything", depth_estimation_type="metric", max_depth=1), "", None),  # nobody has set it
        (config("depth_anything", depth_estimation_type="metric", max_depth=None), "", None),
        (config("depth_pro", use_fov_model=True), "apple/DepthPro-hf", "depth"),
        (config("depth_pro", use_fov_model=False), "", "relative"),
        (config("dpt"), "", None),
        (config("dpt"), "me/dpt-large", None),
        (config("dpt"), "Intel/dpt-large", "disparity"),
        (config("dpt"), "Intel/dpt-hybrid-midas", "disparity"),
        (config("dpt"), "Intel/dpt-swinv2-tiny-256", "disparity"),
        (config("dpt"), "Intel/dpt-large-ade", None),
        (config("dpt"), "facebook/dpt-dinov2-base-kitti", "depth"),
        (config("glpn", max_depth=10), "", "depth"),
        (config("tipsv2_dpt", max_depth=10.0), "", "depth"),
        (config("zoedepth"), "", "depth"),
        (config("prompt_depth_anything"), "", "relative"),
        (config("of_next_year"), "", None),
    ],
)
def test_what_settings_tell_of_the_numbers(settings, repo, kind):
    said = meaning_of(settings, repo)
    assert (said and said[0]) == kind


def test_families_are_called_as_transformers_calls_them():
    from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES as there

    from hqmd_cli.inference.foreign.output_kinds import FAMILIES as KNOWN
    from hqmd_cli.inference.foreign.output_kinds import NO_DEPTH

    later_than_5_0 = {"chmv2", "tipsv2_dpt"}
    assert {*KNOWN, *NO_DEPTH} - later_than_5_0 <= set(there)


def test_what_is_open_has_to_be_stated(models, rgb):
    with pytest.raises(HqmdError, match=r"does not say what its numbers are.*; state it with --model-kind"):
        load(f"hf:{models('dpt')}")
    assert load(f"hf:{models('dpt')}", kind="relative").kind == "relative"
    with pytest.raises(HqmdError, match=r"--model-kind depth is for .*depth_estimation_type is relative"):
        opened(models("depth-anything"), kind="depth")


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"sides": (224,)}, "--side is for hqmd's own models; hf:.* its own processor"),
        ({"size": "fast"}, "--size is"),
        ({"backend": "onnx"}, "--backend onnx is"),
        ({"backend": "onnx-int8"}, "--backend onnx-int8 is"),
        ({"device": "cuda:7"}, "device 'cuda:7' is not available"),
    ],
)
def test_wishes_that_it_has_no_answer_to(models, wish, said):
    with pytest.raises(HqmdError, match=said):
        opened(models("glpn"), **wish)


def test_the_wishes_that_it_has(models, rgb):
    np.testing.assert_array_equal(
        opened(models("glpn"), backend="torch", device="cpu")(rgb), opened(models("glpn"))(rgb)
    )


def rewritten(folder, change):
    """A folder with its config.json changed."""
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | change))
    return folder


def test_no_code_that_comes_with_a_model_is_run(tmp_path, rgb):
    folder = save_model("depth-anything", tmp_path / "model")
    (folder / "evil.py").write_text("open('ran', 'w')\nclass Config: pass\nclass Model: pass\n")
    there = {"AutoConfig": "evil.Config", "AutoModelForDepthEstimation": "evil.Model", "AutoModel": "evil.Model"}
    expected = opened(folder)(rgb)
    np.testing.assert_array_equal(opened(rewritten(folder, {"auto_map": there}))(rgb), expected)
    with pytest.raises(HqmdError, match="cannot open it"):
        opened(rewritten(folder, {"model_type": "evil"}))
    assert not Path("ran").exists() and not (folder / "ran").exists() and "evil" not in sys.modules


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_pickled_weights_are_not_opened(tmp_path):
    folder = save_model("depth-anything", tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(HqmdError, match=r"has no model\.safetensors, and pickled weights .* @refs/pr/1"):
        opened(folder)
    assert not (tmp_path / "ran").exists()


def drop_weights(folder, part):
    """Take the weights of a part out of the file."""
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(part)}
    assert len(kept) < len(state)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_weights_that_have_no_say_may_be_missing(tmp_path, rgb):
    """As in Intel/dpt-large: the first fusion layer has nothing to add its residual to."""
    folder = save_model("dpt", tmp_path / "dpt")
    expected = opened(folder)(rgb)
    drop_weights(folder, "neck.fusion_stage.layers.0.residual_layer1")
    np.testing.assert_array_equal(opened(folder)(rgb), expected)


@pytest.mark.parametrize("part", ["head.head.0", "dpt.embeddings.cls_token", "neck.fusion_stage.layers.1"])
def test_a_network_that_is_partly_random_is_refused(tmp_path, part):
    folder = drop_weights(save_model("dpt", tmp_path / "dpt"), part)
    with pytest.raises(HqmdError, match=rf"its files lack \d+ weights, such as {part}"):
        opened(folder)


def test_what_is_no_depth_model(tmp_path, models):
    copy = shutil.copytree(models("glpn"), tmp_path / "other")
    (copy / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(HqmdError, match=r"other/model\.safetensors: cannot be read: it is not a safetensors file"):
        opened(copy)
    with pytest.raises(HqmdError, match="cannot open it: ValueError"):
        opened(rewritten(copy, {"model_type": "of_next_year"}))
    (copy / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(HqmdError, match=r"vit is not one of transformers' depth models: .*depth_anything"):
        opened(copy)
    shutil.copy(models("glpn") / "config.json", copy)
    (copy / "preprocessor_config.json").unlink()
    shutil.copy(models("glpn") / "model.safetensors", copy)
    with pytest.raises(HqmdError, match="cannot open it: OSError"):
        opened(copy)
    (copy / "config.json").unlink()
    with pytest.raises(HqmdError, match=r"a folder without config\.json"):
        opened(copy)
    for name in ("hf:", "hf:dpt", "hf:./none", "hf:org/name@"):
        with pytest.raises(HqmdError, match="neither a folder here nor"):
            load(name)


def test_heights_of_trees_are_no_depth(tmp_path, models):
    source = hugging_face.Source(tmp_path, "facebook/chm", "hf:facebook/chm@1")
    with pytest.raises(HqmdError, match=r"predicts heights .*, not depth"):
        hugging_face.require_depth_model(source, SimpleNamespace(model_type="chmv2"))


def test_a_checkpoint_of_ours_is_none_of_theirs_nor_the_other_way(hqmd, models, photo):
    with pytest.raises(HqmdError, match="cannot open it: ValueError"):
        load(f"hf:{bundled_models()['hqmd-indoor-small']}")
    result = hqmd("predict", photo, "-o", "d.png", "--model", models("glpn"))
    assert result.returncode == 1 and "hf:" in result.stderr and "Traceback" not in result.stderr


def test_weights_in_several_files(tmp_path, rgb):
    whole = save_model("depth-anything", tmp_path / "whole")
    model = transformers.AutoModelForDepthEstimation.from_pretrained(whole)
    shards = tmp_path / "shards"
    model.save_pretrained(shards, max_shard_size="40KB")
    (shards / "preprocessor_config.json").write_bytes((whole / "preprocessor_config.json").read_bytes())
    depth_of = opened(shards)
    np.testing.assert_array_equal(depth_of(rgb), opened(whole)(rgb))
    before, parts = depth_of.model.digest(), sorted(shards.glob("model-*.safetensors"))
    assert len(parts) > 1 and before == file_hash(*sorted(shards.iterdir()))
    parts[1].write_bytes(parts[1].read_bytes()[:-1] + b"\1")
    assert depth_of.model.digest() != before


def test_transformers_is_as_talkative_as_before(models, capfd):
    from transformers.utils import logging

    level, folder = logging.get_verbosity(), models("zoedepth")
    capfd.readouterr()  # transformers shows a bar when the test's own model is saved
    opened(folder)
    assert logging.get_verbosity() == level and logging.is_progress_bar_enabled()
    assert capfd.readouterr() == ("", "")


def test_without_transformers_the_remedy_is_named(hqmd, models, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)  # as where it is not installed
    result = hqmd("predict", photo, "-o", "d.png", "--model", f"hf:{models('glpn')}")
    assert result.returncode == 1 and how_to_install("transformers") in result.stderr


def test_a_model_that_fails_on_one_photo_goes_on_with_the_next(hqmd, models, photo, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(photo.read_bytes())
    Image.new("RGB", (2, 3)).save(tmp_path / "in" / "b.png")
    flags = ("--format", "npy", "--model", f"hf:{models('zoedepth')}")
    result = hqmd("predict", tmp_path / "in", "-o", tmp_path / "out", *flags)
    assert result.returncode == 1 and "1 written, 1 failed" in result.stderr
    assert "b.png: hf:" in result.stderr and "failed on a photo of 2 x 3 pixels" in result.stderr


def test_no_memory_left_is_told_with_the_photo(models, rgb, monkeypatch):
    depth_of = opened(models("glpn"))

    def exhausted(**inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(depth_of.model.predict, "network", exhausted)
    with pytest.raises(HqmdError, match="failed on a photo of 83 x 57 pixels: OutOfMemoryError: CUDA out of memory"):
        depth_of(rgb)


# Revisions.


@pytest.fixture
def as_if_from_the_hub(models, tmp_path, monkeypatch):
    """org/name is a tiny relative Depth Anything at a commit; without any hub."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    (tmp_path / commit).symlink_to(models("depth-anything"))
    asked = []

    def snapshot(repo, revision, files):
        asked.append((repo, revision))
        return tmp_path / commit

    monkeypatch.setattr(hugging_face, "snapshot", snapshot)
    monkeypatch.chdir(tmp_path)
    return f"org/name@{commit}", asked


def test_records_name_the_commit(hqmd, as_if_from_the_hub, photo, tmp_path):
    name, asked = as_if_from_the_hub
    result = hqmd("predict", photo, "-o", "d.npy", "-o", "out", "--model", "hf:org/name", "--json")
    assert result.returncode == 0, result.stderr
    (row,) = map(json.loads, (tmp_path / "out" / "manifest.jsonl").read_text().splitlines())
    record = json.loads((tmp_path / "d.json").read_text())
    for settings in (row["settings"], record["settings"]):
        assert settings["model"] == f"hf:{name}" and settings["kind"] == "disparity"
        assert len(settings["model_sha256"]) == 64 and settings["precision"] == "fp32"
    assert record["unit"] == "disparity" and name in result.stderr
    assert asked == [("org/name", None)]


@pytest.mark.slow
def test_captions_and_json_name_the_commit(hqmd, as_if_from_the_hub, pairs, tmp_path):
    name, _ = as_if_from_the_hub
    recipe = 'ground_truth = "filled"\nalignment = "scale-shift-disparity"\nclip_m = [0.1, 10.0]\nsource = "a test"\n'
    (tmp_path / "fitted.toml").write_text(recipe)
    flags = ("--data", pairs, "--split", "val", "--protocol", "fitted.toml")
    result = hqmd("evaluate", "--model", "hf:org/name@v2", *flags, "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["model"] == "hf:org/name@v2" and name in figures["remark"] and "no metres" in figures["remark"]
    assert name in "".join(hqmd("evaluate", "--model", "hf:org/name", *flags).stdout.split())
    compared = hqmd("compare", "hf:org/name", "hqmd-indoor-small", *flags, "-o", "t.csv")
    assert compared.returncode == 0, compared.stderr
    assert name in (tmp_path / "t.csv").read_text()
    refused = hqmd("evaluate", "--model", "hf:org/name", "--data", pairs, "--split", "val")
    assert refused.returncode == 1 and "claim no metres" in refused.stderr


FIND = """
import json, sys
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.foreign.hugging_face import find_source
for name in sys.argv[1:]:
    try:
        source = find_source(name)
        answer = [source.name, source.repo, sorted(path.name for path in source.folder.iterdir())]
    except HqmdError as error:
        answer = str(error)
    print(json.dumps([name, answer]))
assert not {"torch", "transformers"} & set(sys.modules)
"""


def look_up(endpoint, home, *names, **settings):
    """name -> [name with commit, repository, files] or a message; as the user's process would, see test_hub.py."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    env |= {"PYTHONPATH": str(Path(hqmd_cli.__file__).parents[1])} | settings
    command = [sys.executable, "-c", FIND, *names]
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.slow
def test_a_name_is_pinned_to_its_commit(models, tmp_path):
    """Online, from two revisions; then offline from the cache; only what is needed is asked for."""
    first = shutil.copytree(models("depth-anything"), tmp_path / "first")
    for extra in ("pytorch_model.bin", "model.fp16.safetensors", "modeling.py", "README.md"):
        (first / extra).write_text("not for download")
    second = save_model("depth-anything-metric", tmp_path / "second", seed=1)
    bare = shutil.copytree(models("glpn"), tmp_path / "bare")
    (bare / "model.safetensors").rename(bare / "pytorch_model.bin")
    home = tmp_path / "home"
    home.mkdir()
    served = {("org/name", "main"): first, ("org/name", "refs/pr/1"): second, ("org/bare", "main"): bare}
    pinned = f"org/name@{commit_of('org/name', 'main')}"
    names = ["org/name", "org/name@refs/pr/1", pinned, "org/bare", "org/none", "org/name@v9"]
    with HubServer(served) as server:
        online = look_up(server.endpoint, home, *names)
        requests = " ".join(server.requests)
    files = ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert online["org/name"] == online[pinned] == [f"hf:{pinned}", "org/name", files]
    assert online["org/name@refs/pr/1"][0] == f"hf:org/name@{commit_of('org/name', 'refs/pr/1')}"
    assert not any(name in requests for name in ("fp16", ".bin", ".py", "README"))
    assert "has no model.safetensors" in online["org/bare"] and commit_of("org/bare", "main") in online["org/bare"]
    assert "no such model on the Hugging Face hub" in online["org/none"]
    assert "no such revision" in online["org/name@v9"]
    offline = look_up("http://127.0.0.1:9", home, *names, HF_HUB_OFFLINE="1")
    assert {name: offline[name] for name in names[:3]} == {name: online[name] for name in names[:3]}
    assert "cannot be reached" in offline["org/none"]
