"""Photos without depth, which other models label: labels are kept, whatever is no metres teaches by its shape alone."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import scene
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_unit_tag, read_depth_values
from hqmd_cli.inference.open import SeenPhoto
from hqmd_cli.losses import build_loss
from hqmd_cli.losses.relative import of_disparity, of_kinds, scale_and_shift_invariant
from hqmd_cli.models.base import Estimate
from hqmd_cli.training import unlabelled
from hqmd_cli.training.augmentation import Augmentation, TrainTransform
from hqmd_cli.training.loop import EpochReport, StepReport, fit
from hqmd_cli.training.unlabelled import open_unlabelled, write_label

MODEL = ModelConfig().with_settings(
    backbone="test_efficientnet", size=(48, 64), output_stride=32, aspp_channels=16, low_channels=8, fuse_channels=16
)
TRAIN = TrainConfig().with_settings(batch_size=2, epochs=1, lr=1e-3, optimizer="adamw", loss="l1")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Where labels are kept."""
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def photos(tmp_path):
    """A folder of six photos in two folders."""
    for number in range(6):
        path = tmp_path / "photos" / f"{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(number, (48, 64))[0]).save(path)
    return tmp_path / "photos"


class Model:
    """A teacher, as open_model gives it: `gives` makes a map of a photo. Counts its answers."""

    def __init__(self, name, gives, kind="depth", digest="a" * 64, follows_camera=False):
        self.name, self.gives, self.kind, self.follows_camera, self.asked = name, gives, kind, follows_camera, 0
        self.digest, self.in_words = lambda: digest, f"{name}, by hand"

    def see(self, rgb, camera, sure):
        self.asked += 1
        return SeenPhoto(np.float32(self.gives(rgb)), camera)


def metres(rgb):
    """What scene drew: far is dark."""
    return 6 * (1 - rgb[..., 0] / 255) + 0.1


@pytest.fixture
def teach(monkeypatch, pairs):
    """`teach(photos, model, ...)` labels photos, of which those of `pairs` validate; what was said is in `.said`."""
    held_out = open_training_data(pairs)[1]

    def label(photos, *models, beside_truth=False, held_out=held_out):
        monkeypatch.setattr(unlabelled, "open_models", lambda names, options: {m.name: m for m in models})
        label.said = []
        return open_unlabelled(str(photos), [m.name for m in models], held_out, "cpu", beside_truth, label.said.append)

    return label


def test_labels_beyond_sixteen_bits_of_millimetres_keep_80_m_and_drop_the_sky(tmp_path):
    """Row M5."""
    depth_m = np.float32([[0.5, 70, 80], [np.inf, 5000, np.nan]])
    unlabelled_share = write_label(tmp_path / "far.png", depth_m, "depth")
    read_m = read_depth_values(tmp_path / "far.png") / depth_unit_tag(tmp_path / "far.png")
    np.testing.assert_allclose(read_m, [[0.5, 70, 80], [0, 0, 0]], atol=1e-3)
    assert unlabelled_share == 0.5
    write_label(tmp_path / "near.png", depth_m[:, :1], "depth")
    assert depth_unit_tag(tmp_path / "near.png") == 1000
    with pytest.raises(HqmdError, match="no number that can be learned"):
        write_label(tmp_path / "sky.png", depth_m[1:], "depth")


def test_labels_without_metres_use_all_sixteen_bits(tmp_path):
    write_label(tmp_path / "label.png", np.float32([[-2, 0, 2, np.nan]]), "disparity")
    np.testing.assert_array_equal(read_depth_values(tmp_path / "label.png"), [[1, 32768, 65535, 0]])
    write_label(tmp_path / "flat.png", np.full((2, 2), 7, np.float32), "relative")
    np.testing.assert_array_equal(read_depth_values(tmp_path / "flat.png"), np.ones((2, 2)))


def test_a_label_is_computed_once_for_each_photo_and_model(teach, photos):
    first = Model("a", metres)
    data = teach(photos, first)
    assert first.asked == len(data) == 6 and "6 new of 6" in teach.said[-1]
    again = Model("a", metres)
    teach(photos, again)
    assert again.asked == 0 and "0 new of 6" in teach.said[-1]
    Image.fromarray(scene(77, (48, 64))[0]).save(photos / "0" / "0.png")  # other content under its name
    teach(photos, again)
    assert again.asked == 1
    other = Model("a", metres, digest="b" * 64)
    teach(photos, other)
    assert other.asked == 6


def test_labelling_goes_on_where_it_was_stopped(teach, photos):
    def dies(rgb):
        if stopped.asked > 3:
            raise KeyboardInterrupt
        return metres(rgb)

    stopped, again = Model("a", dies), Model("a", metres)
    with pytest.raises(KeyboardInterrupt):
        teach(photos, stopped)
    teach(photos, again)
    assert again.asked == 3 and "3 new of 6" in teach.said[-1]


def test_samples_hold_the_photo_and_what_the_teacher_gave(teach, photos):
    data = teach(
        photos, Model("far", lambda rgb: np.where(rgb[..., 0] > 128, 80, np.inf)), Model("b", metres, "disparity")
    )
    assert len(data) == 12 and data.mixes_kinds and data.teachers == {"far": "a" * 64, "b": "a" * 64}
    sample = data[0]
    np.testing.assert_allclose(sample.depth_m[sample.valid], 80, atol=1e-3)
    np.testing.assert_array_equal(sample.valid, sample.image[..., 0] > 128)
    assert (sample.kind, data[6].kind) == ("depth", "disparity") and data[6].valid.all()
    assert "6 photos without depth, labelled by far (metres) and b (disparity" in data.description
    assert any("% of them is sky" in line for line in teach.said)


@pytest.mark.slow
def test_a_large_photo_is_kept_smaller_with_its_camera(teach, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0xA405: 28, 0xA002: 1920, 0xA003: 1280})
    (tmp_path / "large").mkdir()
    Image.fromarray(scene(0, (1280, 1920))[0]).save(tmp_path / "large" / "1.jpg", exif=exif)
    whole = SimpleNamespace(asked=None)

    def notes(rgb):
        whole.asked = rgb.shape
        return metres(rgb)

    sample = teach(tmp_path / "large", Model("a", notes, follows_camera=True))[0]
    assert whole.asked == (1280, 1920, 3) and sample.image.shape[:2] == sample.depth_m.shape == (640, 960)
    assert sample.focal_px == pytest.approx(28 * np.hypot(640, 960) / np.hypot(36, 24))
    # Metres of the photo's own camera, which training brings back to NYU's.
    example = TrainTransform((640, 960), Augmentation((1, 1), 0, (1, 1), 0))(sample, np.random.default_rng(0))
    nearness = example["rgb"][0][::16, ::16]
    np.testing.assert_allclose(example["depth_m"][0][::16, ::16], 6 * (1 - nearness) + 0.1, atol=0.3)


def test_photos_that_validate_are_left_out(teach, pairs):
    data = teach(pairs / "rgb", Model("a", metres))
    assert sorted(data.names) == ["a1.jpg", "a2.jpg", "a3.jpg", "a4.jpg"]
    assert any(line.startswith("2 photos without depth are left out") for line in teach.said)


def test_of_data_with_depth_the_photos_of_train_are_taken(teach, pairs):
    assert sorted(teach(pairs, Model("a", metres)).names) == ["a1.jpg", "a2.jpg", "a3.jpg", "a4.jpg"]
    assert any("its depth is left aside" in line for line in teach.said)


def test_somebody_has_to_say_metres(teach, photos):
    relative = Model("a", metres, "disparity")
    with pytest.raises(HqmdError, match="nothing gives metres"):
        teach(photos, relative)
    assert relative.asked == 0 and len(teach(photos, relative, beside_truth=True)) == 6


def test_photos_that_cannot_be_labelled(teach, photos):
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(HqmdError, match="cannot label 1 of 7 photos"):
        teach(photos, Model("a", metres))


def test_a_relative_loss_does_not_feel_scale_and_shift():
    random = torch.Generator().manual_seed(0)
    label = 1 + torch.rand(2, 1, 12, 16, generator=random)
    valid = torch.rand(2, 1, 12, 16, generator=random) < 0.8
    noise = torch.rand(2, 1, 12, 16, generator=random)
    assert scale_and_shift_invariant(3 * label + 7, label, valid) < 1e-5
    assert scale_and_shift_invariant(label + noise, label, valid) > 0.3
    assert of_disparity(1 / (0.2 * label), 1000 * label, valid) < 1e-5
    hidden = torch.where(valid, label, torch.nan)
    torch.testing.assert_close(
        scale_and_shift_invariant(noise, hidden, valid), scale_and_shift_invariant(noise, label, valid)
    )


def test_a_relative_loss_worked_by_hand():
    """(1, 2, 3) has median 2 and deviation 2/3, and becomes (-1.5, 0, 1.5); (10, 20, 20) becomes (-3, 0, 0)."""
    pred, label, valid = (torch.tensor(values).view(1, 1, 1, 3) for values in ([1.0, 2, 3], [10.0, 20, 30], [True] * 3))
    assert scale_and_shift_invariant(pred, label, valid) == 0
    # They differ by (1.5, 0, 1.5): on average by 1, neighbours by 1.5, and those two apart by 0.
    other = torch.tensor([10.0, 20, 20]).view(1, 1, 1, 3)
    assert scale_and_shift_invariant(pred, other, valid) == pytest.approx(1 + 0.5 * (1.5 + 0))


def test_each_kind_counts_by_its_share_of_the_pictures():
    random = torch.Generator().manual_seed(0)
    pred_m, labels = 1 + torch.rand(2, 4, 1, 12, 16, generator=random)
    valid, l1 = torch.ones_like(labels, dtype=torch.bool), build_loss("l1")
    pred_m.requires_grad_()
    mixed = of_kinds(l1, Estimate(pred_m), labels, valid, torch.tensor([0, 0, 0, 1]))
    alone = l1(Estimate(pred_m[:3]), labels[:3], valid[:3])
    torch.testing.assert_close(mixed, 0.75 * alone + 0.25 * of_disparity(pred_m[3:], labels[3:], valid[3:]))
    (gradient,) = torch.autograd.grad(mixed, pred_m)
    assert gradient.isfinite().all() and gradient[3].any()
    torch.testing.assert_close(
        of_kinds(l1, Estimate(pred_m), labels, valid, torch.zeros(4)), l1(Estimate(pred_m), labels, valid)
    )


def test_a_turned_camera_changes_disparity_the_other_way(teach, photos):
    kinds = {}
    for kind in ("depth", "disparity"):
        data = teach(photos, Model(kind, lambda rgb: np.full(rgb.shape[:2], 2.0), kind), beside_truth=True)
        turned = TrainTransform((48, 64), Augmentation((1, 1), 0, (1, 1), 0, turn_deg=8))
        example = turned(data[0], np.random.default_rng(1))
        kinds[kind] = np.where(example["valid"], example["depth_m"], np.nan)[0]
    ratio = kinds["depth"] * kinds["disparity"]
    assert np.nanstd(kinds["depth"]) > 0.01 and np.nanstd(ratio) < 1e-3 * np.nanmean(ratio)


@pytest.mark.slow
def test_a_run_on_photos_alone_and_beside_truth_resumes_to_the_bit(teach, pairs, photos, tmp_path):
    seen, held_out = open_training_data(pairs)
    teachers = Model("a", metres), Model("b", lambda rgb: rgb[..., 0] / 255, "disparity", "b" * 64)
    alone, beside = teach(photos, teachers[0]), teach(photos, *teachers, beside_truth=True)
    for data, extra in ((alone, None), (seen, beside)):
        results = []
        for stops in (False, True):
            folder = tmp_path / f"{extra is None}-{stops}"
            run = fit(MODEL, TRAIN, data, held_out, folder, extra_data=extra, backbone_weights="none")
            for report in run:
                if stops and isinstance(report, StepReport):
                    run.close()
            if stops:
                run = fit(MODEL, TRAIN, data, held_out, folder, extra_data=extra, backbone_weights="none", resume=True)
                assert any(isinstance(report, EpochReport) for report in run)
            results.append((folder / "last" / "model.safetensors").read_bytes())
        assert results[0] == results[1]
    about = json.loads((tmp_path / "False-True" / "run.json").read_text())
    assert about["content"] == {"teacher a": "a" * 64, "teacher b": "b" * 64}
    assert json.loads((tmp_path / "False-True" / "last" / "config.json").read_text())["teacher"] == "a and b"


@pytest.mark.slow
def test_the_command_labels_trains_and_goes_on(hqmd, pairs, photos, trained_run, tmp_path):
    tiny = ("--backbone", "test_efficientnet", "--backbone-weights", "none", "--size", "32x48", "--batch-size", "2",
            "--workers", "0", "--epochs", "2")  # fmt: skip
    run = tmp_path / "pupil"
    asked = ("train", "--unlabelled", photos, "--teacher", trained_run / "best", "--val-data", pairs, "-o", run, *tiny)
    result = hqmd(*asked, "--time-limit", "0s")
    assert result.returncode == 0 and "6 new of 6" in result.stderr, result.stderr
    result = hqmd("train", "--resume", "-o", run)
    assert result.returncode == 0 and "0 new of 6" in result.stderr, result.stderr
    card = (run / "best" / "README.md").read_text()
    assert "photos, 6 photos without depth, labelled by run/best (metres)" in card
    assert "Also learned from the depth of: run/best" in card
    mixed = hqmd(*asked[: -len(tiny) - 2], "--data", pairs, "-o", tmp_path / "mixed", *tiny, "--max-steps", "1")
    assert mixed.returncode == 0, mixed.stderr
    assert "and as much of photos" in json.loads((tmp_path / "mixed" / "best" / "config.json").read_text())["data"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--unlabelled", "photos"), "name a --teacher"),
        (("--teacher", "a", "--teacher", "b"), "--unlabelled PHOTOS"),
        (("--teacher", "hf:org/name"), "--unlabelled PHOTOS"),
        (("--teacher", "a", "--unlabelled", "photos", "--extra-data", "more"), "give one of them"),
    ],
)
def test_options_that_do_not_go_together(hqmd, pairs, tmp_path, options, said):
    result = hqmd("train", "--data", pairs, "-o", tmp_path / "run", *options)
    assert result.returncode == 1 and said in result.stderr
