"""The two engines: ONNX Runtime says what torch says, without torch; and the predictor around them."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skimage
import torch
from safetensors.torch import load_file, save_file
from timm.layers.conv2d_same import Conv2dSame
from timm.models.vision_transformer import Attention

from hqmd_cli.api import load
from hqmd_cli.checkpoints.checkpoint import load_checkpoint, read_info, record_model, save_checkpoint
from hqmd_cli.checkpoints.hub import DEFAULT_MODEL, ONNX_FILES, find_checkpoint
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.commands.export import export as export_command
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.config.view import View, side_views, sides_in_words
from hqmd_cli.errors import HqmdError
from hqmd_cli.export import standalone
from hqmd_cli.export.onnx_graph import export_beside, export_file, graph_of
from hqmd_cli.export.standalone import Standalone
from hqmd_cli.export.traced_layers import OneAttention
from hqmd_cli.export.verify import LIMITS, Difference, Limits, verify
from hqmd_cli.files.photos import read_image
from hqmd_cli.geometry.resize import Preprocess, sharpened, sharpening, shrink
from hqmd_cli.inference.engines import select as opening
from hqmd_cli.inference.engines.check_pictures import check_pictures
from hqmd_cli.inference.engines.onnx import OnnxEngine
from hqmd_cli.inference.engines.pytorch import TorchEngine
from hqmd_cli.inference.engines.select import open_engine
from hqmd_cli.inference.predictor import DepthPredictor, with_detail
from hqmd_cli.models import build_model
from hqmd_cli.models.network import DepthNetwork

CPU = torch.device("cpu")
PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
# Between them: TensorFlow's padding and torch's, joined stages and single ones, both decoders.
JOINED = ModelConfig().with_settings(
    backbone="test_efficientnet", size=(64, 96), output_stride=32, high_stages=2, low_stages=2
)
PLAIN = ModelConfig().with_settings(backbone="tf_mobilenetv3_small_minimal_100", size=(224, 288), decoder="baseline")
TRANSFORMER = ModelConfig().with_settings(backbone="test_vit", size=(64, 96), high_blocks=(1, 3), activation="exp")


def narrow(config: ModelConfig) -> ModelConfig:
    return config.with_settings(aspp_channels=12, fuse_channels=10, low_channels=6)


def lively(config: ModelConfig) -> DepthNetwork:
    """A random network whose depth depends on the picture: batch norms as after a training."""
    torch.manual_seed(0)
    network = build_model(narrow(config))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # one picture sets the statistics
    pictures = [torch.from_numpy(p[:64, :96].copy()).permute(2, 0, 1) / 255 for p in check_pictures([(64, 96)] * 2)]
    with torch.no_grad():
        network.train()(torch.stack(pictures))
    return network.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, traced_once: Callable[..., Any]) -> tuple[Path, Path]:
    """As `hqmd export` writes them: a folder to publish, and a copy with the graph in int8."""
    root = tmp_path_factory.mktemp("published")
    network = lively(TRANSFORMER)
    save_checkpoint(root / "run", network, CheckpointInfo(narrow(TRANSFORMER), TrainConfig(), "nothing"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hqmd_cli.export.onnx_graph.graph_of", traced_once)
        export_command(str(root / "run"), root / "kept")
        both = shutil.copytree(root / "kept", root / "both")
        export_command(str(both), both, precision="int8")
    return root / "kept", both


@pytest.fixture(scope="module")
def published(folders: tuple[Path, Path]) -> Path:
    """A folder as `hqmd export MODEL -o FOLDER` writes it. For reading only."""
    return folders[0]


@pytest.fixture(scope="module")
def in_both_precisions(folders: tuple[Path, Path]) -> Path:
    """The same with model.int8.onnx beside model.onnx. For reading only."""
    return folders[1]


def agree(network: DepthNetwork, path: Path, alone: ModelConfig | None = None) -> None:
    """Both engines, on pictures of even, odd and narrow sizes; `alone` is the model of a graph that stands alone."""
    onnx_engine, torch_engine = OnnxEngine(path), TorchEngine(Standalone(network, alone) if alone else network, CPU)
    photo = read_image(PHOTO)
    for picture in (*check_pictures(), photo[:97, :131], photo[50:114, :32], photo[:33, :200]):
        depth_m = onnx_engine(picture)
        assert depth_m.shape == picture.shape[:2] and depth_m.dtype == np.float32
        assert np.ptp(depth_m) > 0.01  # so that the next line can fail
        np.testing.assert_allclose(depth_m, torch_engine(picture), rtol=3e-3, atol=1e-3)


@pytest.mark.slow
def test_a_published_folder_agrees_with_torch(published):
    """A vision transformer: its patches and the positions it has learnt are fitted to a picture of any size."""
    agree(load_checkpoint(published, CPU)[0], published / "model.onnx")


@pytest.mark.slow
def test_a_checkpoints_graph_has_one_operator_for_all_heads_and_short_names(published):
    graph = onnx.load(published / "model.onnx", load_external_data=False).graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("MultiHeadAttention") == operators.count("Gelu") == 4 and "Softmax" not in operators
    names = {name for node in graph.node for name in (*node.input, *node.output)} - {"rgb", "depth_m", ""}
    assert len(names) > 100 and max(map(len, names)) <= 4 and not any(node.name for node in graph.node)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_view_of_many_tokens_takes_little_memory(published):
    """Its attention is computed block by block. At 1,600 pixels, a number for every pair of tokens takes 0.8 GB."""
    code = """
import re, sys
from pathlib import Path
import numpy as np
from hqmd_cli.inference.engines.onnx import OnnxEngine
engine = OnnxEngine(Path(sys.argv[1]))
for side in (64, 1600):
    engine(np.zeros((side, side, 3), np.uint8))
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
    ran = subprocess.run([sys.executable, "-c", code, published / "model.onnx"], capture_output=True, check=True)
    small, large = map(int, ran.stdout.split())
    assert large - small < 800_000, "kB"


def test_tokens_that_are_hidden_from_each_other_are_not_exported():
    torch.manual_seed(0)
    attention = OneAttention(Attention(8, num_heads=2))
    with pytest.raises(HqmdError, match="masks its attention"):
        attention(torch.zeros(1, 3, 8), is_causal=True)


@pytest.mark.slow
def test_a_file_of_its_own_says_depth_at_every_pixel(tmp_path, quick_export):
    """Nobody follows edges for it. The network goes on saying it at some."""
    network = lively(PLAIN.with_settings(depth_stride=4))
    export_file(network, PLAIN, tmp_path / "model.onnx")
    picture = next(check_pictures())
    some, every = TorchEngine(network, CPU)(picture), OnnxEngine(tmp_path / "model.onnx")(picture)
    assert every.shape == picture.shape[:2] and some.shape == tuple(-(-side // 4) for side in every.shape)
    network.depth_stride = 1
    expected = TorchEngine(Standalone(network, PLAIN), CPU)(picture)
    np.testing.assert_allclose(every, expected, rtol=3e-3, atol=1e-3)


@pytest.mark.slow
def test_tensorflows_padding_agrees_with_torch(tmp_path):
    """It depends on the size: here on its own, below (slow) in a whole network."""
    torch.manual_seed(0)
    layers = Conv2dSame(3, 6, 3, stride=2), Conv2dSame(6, 6, 5, stride=2, groups=2), Conv2dSame(6, 1, 4)
    network = torch.nn.Sequential(*layers).eval()
    graph = graph_of(network)
    onnx.save(graph, tmp_path / "model.onnx")
    assert [type(layer) for layer in network] == [Conv2dSame] * 3
    assert [node.op_type for node in graph.graph.node].count("Conv") == 3
    engine, expected = OnnxEngine(tmp_path / "model.onnx"), TorchEngine(network, CPU)
    for picture in check_pictures([(64, 96), (65, 98), (63, 97), (66, 95)]):
        np.testing.assert_allclose(engine(picture), expected(picture), atol=1e-5)


@pytest.mark.slow
def test_a_file_of_its_own_agrees_with_torch_and_names_no_folder(tmp_path):
    config = PLAIN.with_settings(calibration=0.9, calibration_power=1.1)
    network = lively(config)
    before = {name: type(module) for name, module in network.named_modules()}
    export_file(network, config, tmp_path / "model.onnx")
    assert {name: type(module) for name, module in network.named_modules()} == before
    agree(network, tmp_path / "model.onnx", alone=config)
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    onnx.checker.check_model(model)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert b"site-packages" not in (tmp_path / "model.onnx").read_bytes()  # torch notes stack traces
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    biases = [weights[node.input[2]] for node in model.graph.node if node.op_type == "Conv" and len(node.input) > 2]
    assert biases and all(bias.any() for bias in biases)  # the exporter invents some of zeros


@pytest.mark.slow
def test_a_failed_export_leaves_no_folder(hqmd, trained_run, tmp_path, monkeypatch, quick_export):
    monkeypatch.setitem(LIMITS, "fp32", Limits(-1, -1))
    result = hqmd("export", trained_run / "best", "-o", tmp_path / "kept")
    assert result.returncode == 1 and "differs from torch" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_network_of_joined_stages_agrees_with_torch(tmp_path, quick_export):
    config = JOINED.with_settings(sharpen_below=120)  # half of the pictures are smaller
    network = lively(config)
    export_file(network, config, tmp_path / "model.onnx")
    agree(network, tmp_path / "model.onnx", alone=config)


@pytest.mark.slow
def test_a_file_of_its_own_says_the_same_of_a_photo_at_any_size(tmp_path, quick_export):
    """It shows the network the sides of predict, whose second one is mirrored."""
    config = JOINED.with_settings(predict_sides=(64, 96), calibration=0.9, calibration_power=1.1)
    network = lively(config)
    export_file(network, config, tmp_path / "model.onnx")
    engine, photo = OnnxEngine(tmp_path / "model.onnx"), read_image(PHOTO)
    predictor = DepthPredictor(TorchEngine(network, CPU), config)
    for photo_or_part in (photo, photo[:128]):  # the part is 4 : 1
        expected = np.median(predictor(photo_or_part))
        height, width = photo_or_part.shape[:2]
        for scale in (0.5, 1, 2.5):
            seen = shrink(photo_or_part, (round(height * scale), round(width * scale)))
            assert np.median(engine(seen)) == pytest.approx(expected, rel=0.08)  # a random network, at few pixels
    assert np.ptp(engine(photo)) > 0.01


@pytest.mark.slow
def test_the_graph_reads_the_weights_that_lie_beside_it(published, tmp_path):
    """Bundled models carry their weights once: another bias in the safetensors file is another depth in ONNX."""
    copy = shutil.copytree(published, tmp_path / "copy")
    assert (copy / "model.onnx").stat().st_size < 400_000
    picture = next(check_pictures())
    before = OnnxEngine(copy / "model.onnx")(picture)
    tensors = load_file(copy / "model.safetensors")
    tensors["decoder.logits.bias"] += 1
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    after = OnnxEngine(copy / "model.onnx")(picture)
    assert (after >= before).all() and (after - before).mean() > 0.3


@pytest.mark.slow
def test_a_published_folder_is_half_as_large_and_loads_like_any_other(published):
    tensors = load_file(published / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.ndim > 1} == {torch.float16}
    assert {t.dtype for t in tensors.values() if t.ndim == 1} == {torch.float32}
    network, _ = load_checkpoint(published, CPU)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.slow
def test_an_export_that_differs_is_refused(published):
    network, _ = load_checkpoint(published, CPU)
    right = TorchEngine(network, CPU)
    limits = LIMITS["fp32"]
    assert verify(published / "model.onnx", right, limits).largest_mm < limits.largest_mm
    for wrong in (2 * limits.largest_mm / 1000, np.nan):
        with pytest.raises(HqmdError, match="differs from torch"):
            verify(published / "model.onnx", lambda picture, wrong=wrong: right(picture) + np.float32(wrong), limits)


@pytest.mark.slow
def test_a_refused_export_leaves_what_was_there(trained_run, tmp_path, monkeypatch, quick_export):
    copy = shutil.copytree(trained_run / "best", tmp_path / "copy")
    (copy / "model.onnx").write_bytes(b"an earlier graph")
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    monkeypatch.setitem(LIMITS, "fp32", Limits(-1, -1))
    with pytest.raises(HqmdError, match="differs from torch"):
        export_beside(load_checkpoint(copy, CPU)[0], copy)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


@pytest.mark.slow
def test_export_replaces_nothing(hqmd, trained_run, tmp_path):
    (tmp_path / "mine").mkdir()
    result = hqmd("export", trained_run / "best", "-o", tmp_path / "mine")
    assert result.returncode == 1 and "exists already" in result.stderr
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.slow
def test_export_replaces_files_only_when_asked_and_never_the_models_own(hqmd, trained_run, tmp_path, monkeypatch):
    """The graph itself is not made here."""
    made = []

    def made_up(network, model, path, precision="fp32", size=None, model_hash=""):
        made.append(path)
        path.write_bytes(b"new")
        return Difference(0.1, 0.2)

    monkeypatch.setattr("hqmd_cli.export.onnx_graph.export_file", made_up)
    folder = shutil.copytree(trained_run / "best", tmp_path / "mine")
    (folder / "model.onnx").write_bytes(b"its graph")
    path = tmp_path / "a.onnx"
    path.write_bytes(b"old")
    (tmp_path / "gone.onnx").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link.onnx").symlink_to(folder / "model.onnx")
    for output, flags in (
        (path, ()),
        (tmp_path / "gone.onnx", ()),
        (folder / "model.onnx", ("--overwrite",)),
        (tmp_path / "link.onnx", ("--overwrite",)),
        (folder, ()),
    ):
        result = hqmd("export", folder, "-o", output, *flags)
        assert result.returncode == 1 and result.stderr.count("\n") == 1, (output, result.stderr)
        assert "exists already; " in result.stderr or "a file of the model itself" in result.stderr
    assert path.read_bytes() == b"old" and (folder / "model.onnx").read_bytes() == b"its graph" and not made
    assert hqmd("export", folder, "-o", path, "--overwrite").returncode == 0
    assert path.read_bytes() == b"new"


@pytest.mark.slow
def test_export_gives_a_folder_its_onnx(hqmd, trained_run, tmp_path, quick_export):
    folder = shutil.copytree(trained_run / "best", tmp_path / "mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hqmd("export", folder, "-o", folder, "--note", __file__).returncode == 1
    result = hqmd("export", folder, "-o", folder)
    assert result.returncode == 0, result.stderr
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after.keys() - before.keys() == {"model.onnx"} and all(after[name] == before[name] for name in before)
    agree(load_checkpoint(folder, CPU)[0], folder / "model.onnx")


def assert_same_in_both_engines(model: str, photos: list[np.ndarray]) -> None:
    """At three sizes; the limits are a hundredth of what the models err by."""
    folder = find_checkpoint(model)
    network, info = load_checkpoint(folder, CPU)
    engines = OnnxEngine(folder / "model.onnx"), TorchEngine(network, CPU)
    for photo in photos:
        for side in (128, 224, 301):
            one, other = (DepthPredictor(engine, info.model, (side,))(photo) for engine in engines)
            assert np.abs(one - other).mean() < 0.001 and np.abs(one - other).max() < 0.01


@pytest.mark.slow
def test_the_bundled_model_is_the_same_in_both_engines():
    assert_same_in_both_engines(DEFAULT_MODEL, [read_image(PHOTO)])


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("model", [DEFAULT_MODEL, "hqmd-indoor-small"])
def test_bundled_models_are_the_same_in_both_engines_on_ten_photos(model):
    names = "astronaut brick camera chelsea coffee coins grass gravel motorcycle_left"
    photos = [read_image(Path(skimage.data_dir, f"{name}.png")) for name in names.split()]
    assert_same_in_both_engines(model, [*photos, read_image(Path(skimage.data_dir, "rocket.jpg"))])


@pytest.mark.slow
def test_in_int8_the_bundled_model_says_nearly_the_same_everywhere():
    """A third of the time; benchmarks/precision.md has what it costs on val."""
    folder = find_checkpoint(DEFAULT_MODEL)
    config, photo = read_info(folder).model, read_image(PHOTO)
    whole, short = (
        DepthPredictor(OnnxEngine(folder / ONNX_FILES[precision]), config, (224,))(photo)
        for precision in ("fp32", "int8")
    )
    assert 1e-4 < np.abs(short / whole - 1).mean() < 0.02
    assert np.abs(short / whole - 1).max() < 0.1


@pytest.mark.slow
def test_int8_shares_the_weights_and_is_preferred(in_both_precisions, monkeypatch):
    assert (in_both_precisions / "model.int8.onnx").stat().st_size < 400_000
    graph = onnx.load(in_both_precisions / "model.int8.onnx", load_external_data=False).graph
    assert {"QuantizeLinear", "MatMulInteger"} <= {node.op_type for node in graph.node}
    monkeypatch.setattr(opening, "may_have_gpu", lambda: False)
    engines = [open_engine(in_both_precisions, backend) for backend in ("auto", "onnx-int8", "onnx")]
    assert [engine.precision for engine in engines] == ["int8", "int8", "fp32"]
    picture = next(check_pictures())
    preferred, short, whole = (engine(picture) for engine in engines)
    np.testing.assert_array_equal(preferred, short)
    assert np.abs(short - whole).max() > 1e-5  # it is another arithmetic
    np.testing.assert_allclose(short, whole, rtol=0.05)


@pytest.mark.slow
def test_a_file_in_int8_is_smaller_and_says_nearly_the_same(published, hqmd, tmp_path, quick_export):
    for precision in ONNX_FILES:
        result = hqmd("export", published, "-o", tmp_path / f"{precision}.onnx", "--precision", precision)
        assert result.returncode == 0 and "mm at most" in result.stderr
    whole, short = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    assert short.stat().st_size < whole.stat().st_size
    picture = next(check_pictures())
    np.testing.assert_allclose(OnnxEngine(short)(picture), OnnxEngine(whole)(picture), rtol=0.05)


@pytest.mark.slow
def test_a_network_without_matrices_has_no_int8(trained_run, hqmd, tmp_path, quick_export):
    result = hqmd("export", trained_run / "best", "-o", tmp_path / "a.onnx", "--precision", "int8")
    assert result.returncode == 1 and "this model has none" in result.stderr and not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("size", [None, pytest.param((96, 128), marks=pytest.mark.long)])
def test_a_file_of_its_own_says_how_sure_it_is(size, tmp_path, quick_export):
    """As its twin in torch does, which verify compares, and as predict does but for the finer maps."""
    errors = {"scale_error": (0.05, 1, 0.1, 0.2), "shape_error": (0.05, 1, 0.5, 0.1, 0.2, 0.1, 0.1)}
    config = PLAIN.with_settings(predict_sides=(64, 96), **errors)
    network, path = lively(config), tmp_path / "model.onnx"
    export_file(network, config, path, size=size)
    (picture,) = check_pictures([(96, 128)])
    session = OnnxEngine(path).session
    depth_m, scale, shape = session.run(None, {"rgb": picture[None]})
    assert [output.name for output in session.get_outputs()] == ["depth_m", "scale_error", "shape_error"]
    sure = DepthPredictor(TorchEngine(network, CPU), config).with_uncertainty(picture)[1]
    assert scale.shape == (1,)
    assert scale[0] == pytest.approx(sure.scale, abs=0.01)  # whose pictures are rounded to bytes
    assert shape.shape == depth_m.shape and np.ptp(shape) > 0.1
    assert np.abs(shape[0] - sure.at((96, 128))).mean() < 0.03


@pytest.mark.slow
def test_a_graph_of_one_size_takes_no_other(published, hqmd, tmp_path):
    result = hqmd("export", published, "-o", tmp_path / "a.onnx", "--size", "96x128")
    assert result.returncode == 0, result.stderr
    engine = OnnxEngine(tmp_path / "a.onnx")
    assert engine.session.get_inputs()[0].shape == [1, 96, 128, 3]
    network, info = load_checkpoint(published, CPU)
    (picture,) = check_pictures([(96, 128)])
    expected = TorchEngine(Standalone(network, info.model), CPU)(picture)
    np.testing.assert_allclose(engine(picture), expected, rtol=1e-3)
    with pytest.raises(HqmdError, match="failed at"):
        engine(picture[:64])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("kept", "--size", "96x128"), "for a single file"),
        (("a.onnx", "--precision", "int4"), "fp32, int8"),
        (("a.onnx", "--note", "x.md"), "a folder"),
    ],
)
def test_export_options_that_do_not_go_together(hqmd, trained_run, tmp_path, flags, said):
    result = hqmd("export", trained_run / "best", "-o", tmp_path / flags[0], *flags[1:])
    assert result.returncode == 1 and said in result.stderr and not list(tmp_path.iterdir())


def test_waiting_pictures_are_computed_together():
    """Five threads, one computing: those that wait and are alike go through the network at once, each to its caller."""
    network = lively(ModelConfig().with_settings(backbone="test_resnet", size=(64, 96)))
    engine, alone = TorchEngine(network, CPU, batch=3), TorchEngine(network, CPU)
    pictures = list(check_pictures([(64, 96), (64, 96), (64, 96), (64, 96), (80, 64)]))
    batches = []

    def compute(stack):
        batches.append(len(stack))
        while len(batches) == 1 and len(engine.waiting) < 4:  # the first takes until the others wait
            time.sleep(0.001)
        return TorchEngine.compute(engine, stack)

    engine.compute = compute
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(engine, pictures))
    assert sorted(batches) in ([1, 1, 3], [1, 1, 1, 2], [1, 2, 2]) and max(batches) > 1
    for picture, answer in zip(pictures, answers, strict=True):
        np.testing.assert_allclose(answer, alone(picture), rtol=1e-4)


def test_what_goes_wrong_in_a_batch_is_told_to_each():
    engine = TorchEngine(lively(ModelConfig().with_settings(backbone="test_resnet", size=(64, 96))), CPU, batch=2)
    picture = next(check_pictures([(64, 96)]))
    engine.compute = lambda stack: 1 / 0
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            engine(picture)
    assert not engine.waiting


def test_too_large_for_half_precision(tmp_path):
    network = lively(PLAIN)
    with torch.no_grad():
        network.decoder.logits.weight.fill_(1e6)
    with pytest.raises(HqmdError, match="half precision"):
        save_checkpoint(tmp_path / "x", network, CheckpointInfo(ModelConfig(network.config), TrainConfig()), half=True)


@pytest.mark.slow
def test_a_cold_predict_imports_neither_torch_nor_openssl_nor_fonts(published, photo, tmp_path):
    heavy = ("torch", "timm", "torchvision", "_hashlib", "PIL.ImageFont")
    code = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print([m for m in {heavy!r} if m in sys.modules]))\n"
        f"sys.argv = ['hqmd', 'predict', {str(photo)!r}, '-o', {str(tmp_path / 'd.npy')!r}, "
        f"'-o', {str(tmp_path / 'd.png')!r}, '--device', 'cpu', '--model', {str(published)!r}]\n"
        "from hqmd_cli.app import main\n"
        "main()"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "[]"
    assert np.load(tmp_path / "d.npy").min() > 0


@pytest.mark.slow
def test_backends_by_name(published, trained_run, hqmd, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "may_have_gpu", lambda: False)
    assert isinstance(open_engine(published), OnnxEngine)
    assert isinstance(open_engine(published, "torch"), TorchEngine)
    assert isinstance(open_engine(trained_run / "best"), TorchEngine)  # has no model.onnx
    for wish, said in [
        (("onnx", "auto", trained_run / "best"), "hqmd export"),
        (
            ("onnx", "cuda", published),
            "this ONNX Runtime has no CUDA; pip uninstall -y onnxruntime && pip .*-gpu",
        ),
        (("onnx", "mps", published), "does not compute on mps; use --backend torch"),
        (("onnx-int8", "auto", published), "--precision int8"),
        (("onnx-int8", "cuda", published), "has no CUDA|no model.int8"),
        (("openvino", "auto", published), "no backend named 'openvino'; there are: auto, onnx, onnx-int8, torch"),
    ]:
        with pytest.raises(HqmdError, match=said):
            open_engine(wish[2], wish[0], wish[1])


@pytest.mark.slow
def test_where_a_driver_is_torch_is_asked(published, monkeypatch):
    monkeypatch.setattr(opening, "may_have_gpu", lambda: True)
    expected = TorchEngine if torch.cuda.is_available() or torch.backends.mps.is_available() else OnnxEngine
    assert isinstance(open_engine(published), expected)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_a_damaged_graph_is_named(content, published, tmp_path):
    copy = shutil.copytree(published, tmp_path / "copy")
    (copy / "model.onnx").write_bytes(content)
    with pytest.raises(HqmdError, match=r"model\.onnx: ONNX Runtime cannot open it"):
        open_engine(copy, "onnx")


@pytest.mark.slow
def test_the_hubs_cache_keeps_files_elsewhere(published, tmp_path):
    """huggingface_hub's snapshots are links to files of other names in another folder."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    shutil.copytree(published, blobs)
    for number, path in enumerate(sorted(blobs.iterdir())):
        path.rename(blobs / str(number))
        (snapshot / path.name).symlink_to(blobs / str(number))
    picture = next(check_pictures())
    expected = OnnxEngine(published / "model.onnx")(picture)
    np.testing.assert_array_equal(open_engine(snapshot, "onnx")(picture), expected)


@pytest.mark.slow
def test_weights_that_are_gone_are_named(published, tmp_path):
    copy = shutil.copytree(published, tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    with pytest.raises(HqmdError, match="cannot open it"):
        open_engine(copy, "onnx")


def test_a_foreign_graph_is_refused(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3])
    same = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "foreign", [value], [same])
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(HqmdError, match="hqmd export"):
        OnnxEngine(path)


# ---- the predictor around an engine ----


def brightness(picture: np.ndarray) -> np.ndarray:
    """An engine that can be checked by hand: metres are the red channel's value."""
    return picture[..., 0].astype(np.float32)


def test_depth_grows_with_the_size_it_was_seen_at():
    """Twice as large in the picture reads as half as far: the predictor undoes it."""
    image = np.full((120, 160, 3), 40, np.uint8)
    config = ModelConfig().with_settings(size=(60, 80))
    for side, metres in ((60, 40), (90, 60), (120, 80)):
        depth_m = DepthPredictor(brightness, config.with_settings(predict_sides=(side,)))(image)
        np.testing.assert_allclose(depth_m, metres, rtol=1e-6)


@pytest.mark.parametrize("side", [32, 60, 240])
def test_another_side_leaves_the_metres_and_gives_its_detail(side):
    """The engine says 2 m of a photo at 60 pixels, and nonsense of every other; its right half is 4 % farther."""
    image = np.full((240, 320, 3), 40, np.uint8)

    def engine(picture):
        depth_m = np.full(picture.shape[:2], 2 if picture.shape[0] == 60 else 700, np.float32)
        depth_m[:, picture.shape[1] // 2 :] *= 1.04
        return depth_m

    depth_m = DepthPredictor(engine, ModelConfig().with_settings(size=(60, 80)), (side,))(image)
    np.testing.assert_allclose(depth_m[:, :100], 2, rtol=2e-3)
    np.testing.assert_allclose(depth_m[:, -100:], 2.08, rtol=2e-3)


@pytest.mark.parametrize("height", [160, 240])
def test_a_small_photo_is_as_far_as_the_same_photo_at_its_own_size(height):
    """Blurred by enlarging, it would look nearer: by 16 and 8 % without sharpening."""
    model, photo = load("hqmd-indoor-small"), read_image(PHOTO)
    assert np.median(model(shrink(photo, (height, height)))) == pytest.approx(np.median(model(photo)), rel=0.06)


def test_a_file_of_its_own_sharpens_as_predict_does():
    picture = next(check_pictures([(64, 96)]))
    share = sharpening((90, 100), 120)
    assert share == pytest.approx(0.25 / 0.55) and sharpening((40, 160), 120) == 0
    shown = Preprocess((64, 64), 1, 73)(picture)
    assert not np.array_equal(shown, picture) and np.array_equal(Preprocess((64, 64), 1, 72)(picture), picture)
    whole = sharpened(picture, share).transpose(2, 0, 1) / 255
    exact = standalone.sharpened(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255, share)[0]
    np.testing.assert_allclose(whole, exact, atol=1.1 / 255)


def test_detail_is_what_a_blur_takes_away():
    """A stripe that only the larger view sees is added; a slope that only it sees is not."""
    flat, slope = np.full((40, 60), 2, np.float32), np.linspace(0, 2, 120, dtype=np.float32)
    detail = np.tile(slope, (80, 1))
    striped = detail.copy()
    striped[:, 58:62] += 0.4
    without, added = with_detail(flat, detail), with_detail(flat, striped)
    np.testing.assert_allclose(without[:, 20:100], 2, atol=0.02)  # a Gaussian does not change a straight line
    assert added[40, 60] - without[40, 60] > 0.2
    assert np.median(added) == pytest.approx(2, abs=0.02)


def test_a_panorama_is_as_far_as_its_middle_alone():
    """Of 8 : 1 the network sees half the size, which reads as twice as far."""
    config = ModelConfig().with_settings(size=(64, 80))
    strip = np.full((128, 1024, 3), 40, np.uint8)
    seen = []

    def engine(picture):
        seen.append(picture.shape[0])
        return np.full(picture.shape[:2], 64 / picture.shape[0] * 3, np.float32)  # the same thing, 3 m away, at 64

    for photo in (strip[:, 300:440], strip):
        np.testing.assert_allclose(DepthPredictor(engine, config)(photo), 3, rtol=1e-5)
    assert seen == [64, 32]


@pytest.mark.parametrize(
    ("sides", "flip", "expected", "words"),
    [
        ((224,), False, [(224, (False,))], "224 pixels"),
        ((224,), True, [(224, (False, True))], "224 pixels, as they are and mirrored, averaged"),
        ((288, 224), False, [(224, (False,)), (288, (True,))], "224 and 288 (mirrored) pixels, averaged"),
        (
            (288, 224),
            True,
            [(224, (False, True)), (288, (False, True))],
            "224 and 288 pixels, as they are and mirrored",
        ),
        ((1, 2, 3), False, [(1, (False,)), (2, (True,)), (3, (False,))], "1 and 2 (mirrored) and 3 pixels, averaged"),
    ],
)
def test_every_other_side_is_mirrored(sides, flip, expected, words):
    assert side_views(sides, flip) == expected
    assert sides_in_words(sides, flip).startswith(words)


def test_what_is_seen_mirrored_is_mirrored_back():
    """An engine that finds what lies on the left farther: of the larger side's answer that is the right."""
    image = np.full((64, 96, 3), 100, np.uint8)

    def engine(picture):
        depth_m = np.full(picture.shape[:2], 2, np.float32)
        depth_m[:, : picture.shape[1] // 2] *= 4 if picture.shape[0] == 64 else 9
        return depth_m

    config = ModelConfig().with_settings(size=(64, 96), predict_sides=(64, 128))
    depth_m = DepthPredictor(engine, config)(image)
    np.testing.assert_allclose(depth_m[:, :34], np.sqrt((2 * 4) * (2 * 2)), rtol=1e-4)  # at 128 twice what is said
    np.testing.assert_allclose(depth_m[:, 62:], np.sqrt(2 * (2 * 2 * 9)), rtol=1e-4)


def test_of_several_sides_the_logarithms_are_averaged():
    image = np.full((120, 160, 3), 40, np.uint8)
    config = ModelConfig().with_settings(size=(60, 80), predict_sides=(60, 240))
    np.testing.assert_allclose(DepthPredictor(brightness, config)(image), 80, rtol=1e-5)  # of 40 and 160
    calibrated = config.with_settings(calibration=0.5, calibration_power=1.5)
    np.testing.assert_allclose(DepthPredictor(brightness, calibrated)(image), 0.5 * 80**1.5, rtol=1e-5)


def test_the_network_sees_the_wished_sides():
    seen = []

    def engine(picture):
        seen.append(picture.shape)
        return brightness(picture) + 1

    DepthPredictor(engine, ModelConfig().with_settings(size=(60, 80)), (36, 90))(np.zeros((480, 640, 3), np.uint8))
    assert sorted(seen) == [(36, 48, 3), (60, 80, 3), (90, 120, 3)]


def test_flip_averages_with_the_mirrored_photo():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)

    def leaning(picture):  # not symmetric: adds metres from left to right
        return brightness(picture) + np.linspace(0, 10, picture.shape[1], dtype=np.float32)

    plain, averaged = (
        DepthPredictor(leaning, ModelConfig().with_settings(size=(60, 80)), flip=f)(image) for f in (False, True)
    )
    np.testing.assert_allclose(averaged, image[..., 0] + 5.0, atol=1e-4)
    assert np.abs(plain - averaged).max() > 4


@pytest.mark.slow
def test_side_and_flip_on_the_command_line(hqmd, published, photo, tmp_path):
    variants = [[], ["--flip"], ["--side", "48"]]
    depths = []
    for number, flags in enumerate(variants):
        result = hqmd("predict", photo, "-o", tmp_path / f"{number}.npy", "--model", published, *flags)
        assert result.returncode == 0, result.stderr
        depths.append(np.load(tmp_path / f"{number}.npy"))
    assert all(np.abs(depths[0] - other).max() > 1e-4 for other in depths[1:])


@pytest.mark.parametrize("side", ["31", "224,224", "a", "224,", "-224"])
def test_sides_that_are_none(hqmd, photo, tmp_path, side):
    result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--side", side)
    assert result.returncode == 2 and "--side" in result.stderr and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_calibrate_takes_the_bias_away_and_keeps_that(hqmd, trained_run, pairs, tmp_path):
    """Afterwards the same measurement finds a bias of 1, and the model's folder says so with its sides."""
    folder = tmp_path / "model"
    shutil.copytree(trained_run / "best", folder)
    judged = ("--data", pairs, "--split", "val")
    record_model(folder, read_info(folder).model.with_settings(predict_sides=(48, 64)))
    before = json.loads(hqmd("evaluate", "--model", folder, *judged, "--json").stdout)["metrics"]
    assert abs(before["bias"] - 1) > 0.02
    result = hqmd("calibrate", folder, *judged, "--side", "48,64")
    assert result.returncode == 0, result.stderr
    after = json.loads(hqmd("evaluate", "--model", folder, *judged, "--json").stdout)["metrics"]
    assert after["bias"] == pytest.approx(1, abs=1e-3)
    info = read_info(folder)
    assert info.model.view.sides == (48, 64)
    assert info.model.view.calibration == pytest.approx(1 / before["bias"], abs=1e-4)
    assert info.figures["metrics"]["RMSE"] == pytest.approx(after["RMSE"])
    assert f"multiplied by {info.model.view.calibration:g}" in (folder / "README.md").read_text()
    again = hqmd("calibrate", folder, *judged)  # a second time changes nothing
    assert again.returncode == 0 and read_info(folder).model == info.model


@pytest.mark.slow
def test_a_preset_has_its_own_sides_and_calibration(hqmd, trained_run, pairs, photo, tmp_path):
    folder = shutil.copytree(trained_run / "best", tmp_path / "model")
    judged = ("--data", pairs, "--split", "val")
    before = read_info(folder)
    result = hqmd("calibrate", folder, *judged, "--side", "32", "--size", "fast")
    assert result.returncode == 0 and "at size fast" in result.stderr, result.stderr
    info = read_info(folder)
    ((name, preset),) = info.model.presets.items()
    assert (name, preset.sides, preset.flip) == ("fast", (32,), False) and preset.calibration != 1
    assert "--side" in hqmd("calibrate", folder, *judged, "--size", "tiny").stderr  # there is none yet
    assert info.figures == before.figures and info.model.view.calibration == before.model.view.calibration
    assert "With `--size fast`: at 32 pixels" in (folder / "README.md").read_text()
    fast = json.loads(hqmd("evaluate", "--model", folder, *judged, "--size", "fast", "--json").stdout)["metrics"]
    assert fast["bias"] == pytest.approx(1, abs=1e-3)
    result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", folder, "--size", "fast")
    assert "seen at 32 pixels" in result.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "d.npy"), load(str(folder), size="fast")(read_image(photo)))


def test_a_preset_adds_detail_to_the_metres(hqmd, trained_run, pairs, photo, tmp_path):
    folder = shutil.copytree(trained_run / "best", tmp_path / "model")
    judged = ("--data", pairs, "--split", "val")
    refused = hqmd("calibrate", folder, *judged, "--detail-side", "96")
    assert refused.returncode == 1 and "--size NAME" in refused.stderr
    result = hqmd("calibrate", folder, *judged, "--side", "48", "--detail-side", "96", "--size", "detail")
    assert result.returncode == 0, result.stderr
    assert read_info(folder).model.presets["detail"].detail_sides == (96,)
    assert "at 48 pixels; detail from 96 pixels" in (folder / "README.md").read_text()
    result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", folder, "--size", "detail")
    assert "seen at 48 pixels; detail from 96 pixels" in result.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--size", "huge"), "there are: default, fast"),
        (("--size", "fast", "--side", "64"), "give one of them"),
    ],
)
def test_sizes_that_cannot_be(hqmd, trained_run, photo, tmp_path, flags, said):
    folder = shutil.copytree(trained_run / "best", tmp_path / "model")
    record_model(folder, read_info(folder).model.with_view("fast", View((48,))))
    result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", folder, *flags)
    assert result.returncode == 1 and said in result.stderr and not (tmp_path / "d.npy").exists()


@pytest.mark.parametrize("preset", [{"name": "default"}, {"name": "a b"}, {"sides": [8]}, {"sides": []}, {"x": 1}])
def test_presets_that_are_none(preset):
    with pytest.raises(HqmdError):
        ModelConfig.from_flat({"presets": [{"name": "fast", "sides": [48], "calibration": 1.0} | preset]})


@pytest.mark.slow
def test_a_model_may_want_the_mirrored_photo(hqmd, trained_run, pairs, photo, tmp_path):
    folder = shutil.copytree(trained_run / "best", tmp_path / "model")
    judged = ("--data", pairs, "--split", "val")
    plain = hqmd("evaluate", "--model", folder, *judged, "--flip", "--json").stdout
    assert hqmd("calibrate", folder, *judged, "--flip").returncode == 0
    kept = read_info(folder).model
    assert kept.view.flip and "as they are and mirrored" in (folder / "README.md").read_text()
    own = json.loads(hqmd("evaluate", "--model", folder, *judged, "--json").stdout)["metrics"]
    assert own["bias"] == pytest.approx(1, abs=1e-3) and json.loads(plain)["metrics"]["bias"] != own["bias"]
    result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", folder, "--json")
    assert "mirrored" in result.stderr and json.loads((tmp_path / "d.json").read_text())["settings"]["flip"] is True
    assert hqmd("calibrate", folder, *judged).returncode == 0 and read_info(folder).model == kept
    assert hqmd("calibrate", folder, *judged, "--no-flip").returncode == 0
    assert not read_info(folder).model.view.flip


def test_calibrate_keeps_how_far_depth_follows_edges(hqmd, trained_run, pairs, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(trained_run / "best", folder)
    result = hqmd("calibrate", folder, "--data", pairs, "--split", "val", "--edges", "0.05")
    assert result.returncode == 0, result.stderr
    assert read_info(folder).model.view.edge_share == 0.05
    assert "fitted to the photo's edges" in (folder / "README.md").read_text()
    assert hqmd("calibrate", folder, "--data", pairs, "--split", "val").returncode == 0
    assert read_info(folder).model.view.edge_share == 0.05  # kept where nothing else is said
    refused = hqmd("calibrate", folder, "--data", pairs, "--split", "val", "--edges", "0.5")
    assert refused.returncode == 1 and "edge_share" in refused.stderr
