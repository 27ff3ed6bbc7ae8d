"""What the network gets to see. Wrong alignment of photo and depth shows in no shape and no type, only here."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hqmd_cli.data.sample import Sample, sample_from
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.geometry.resize import Preprocess, shrink
from hqmd_cli.training.augmentation import (
    AUGMENTATIONS,
    EIGEN,
    Augmentation,
    TrainTransform,
    to_network,
    turned_depth,
    turned_picture,
)

SIZES = [(289, 385), (224, 288)]
STILL = Augmentation(scale=(1, 1), rotation_deg=0, colour=(1, 1), flip=0)
NEAR_M, FAR_M = 1.0, 4.0


def only(**changes: object) -> Augmentation:
    """No change but these."""
    return Augmentation(**{**vars(STILL), **changes})


def ramp(axis: int, height: int = 480, width: int = 640) -> Sample:
    """A sample in which the picture is the depth: both rise evenly from one side to the other."""
    steps = np.linspace(0, 1, (height, width)[axis])
    share = np.broadcast_to(steps[:, None] if axis == 0 else steps, (height, width))
    grey = np.round(share * 255).astype(np.uint8)
    depth_m = (NEAR_M + share * (FAR_M - NEAR_M)).astype(np.float32)
    return sample_from("ramp", np.repeat(grey[..., None], 3, axis=2), depth_m)


def away_from(blocked: np.ndarray, pixels: int) -> np.ndarray:
    """Where nothing blocked, and no border, is so near that a blend reaches it."""
    padded = np.pad(blocked, 1, constant_values=True).astype(np.uint8)
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(padded, kernel)[1:-1, 1:-1] == 0


# ---- training ----


@pytest.mark.parametrize("axis", [0, 1], ids=["down", "across"])
@pytest.mark.parametrize(
    ("augmentation", "scale"),
    [
        (STILL, 1),
        (only(scale=(1.4, 1.4)), 1.4),
        (only(flip=1), 1),
        (only(rotation_deg=5), 1),
        (only(rotation_deg=5, scale=(1.25, 1.25), flip=1), 1.25),
    ],
    ids=["still", "enlarged", "mirrored", "turned", "all"],
)
@pytest.mark.parametrize("size", SIZES)
def test_photo_and_depth_move_together(size, augmentation: Augmentation, scale: float, axis: int) -> None:
    """The depth read off the picture is the depth map's, times the scale: everywhere, and to a fraction of a pixel."""
    result = TrainTransform(size, augmentation)(ramp(axis), np.random.default_rng(3))
    from_picture = NEAR_M + result["rgb"][0] * (FAR_M - NEAR_M)
    inside = away_from(~result["valid"][0], 3)
    assert inside.mean() > 0.7
    error_m = (result["depth_m"][0] * scale - from_picture)[inside]
    grey_level = (FAR_M - NEAR_M) / 255
    pixel = (FAR_M - NEAR_M) / (size[axis] * scale)  # by how much depth changes from one pixel to the next
    # One pixel's depth is off by the rounding to grey levels and to the nearest depth; a shift would be in the mean.
    assert np.abs(error_m).max() < 1.5 * grey_level + pixel
    assert abs(error_m.mean()) < 0.15 * pixel


@pytest.mark.parametrize("size", SIZES)
def test_mirroring(size) -> None:
    """The same random numbers with and without the flip: all three are each other's mirror image."""
    sample = holed(textured())
    plain, mirrored = (
        TrainTransform(size, only(flip=flip, scale=(1, 1.5)))(sample, np.random.default_rng(5)) for flip in (0, 1)
    )
    assert not np.array_equal(plain["depth_m"], mirrored["depth_m"])
    # At the very border cv2's fixed-point arithmetic may take the neighbour.
    same = (plain["depth_m"] == mirrored["depth_m"][..., ::-1])[..., 1:-1]
    assert same.mean() > 0.99
    assert (plain["valid"] == mirrored["valid"][..., ::-1]).mean() > 0.99
    assert np.abs(plain["rgb"] - mirrored["rgb"][..., ::-1])[..., 1:-1].mean() < 0.01


def test_chance_of_mirroring() -> None:
    """The default mirrors about half of all samples."""
    sample = ramp(1)
    transform = TrainTransform((224, 288), only(flip=EIGEN.flip))
    flipped = [
        depth_m[0, 100, 0] > depth_m[0, 100, -1]
        for depth_m in (transform(sample, np.random.default_rng(seed))["depth_m"] for seed in range(40))
    ]
    assert 10 <= sum(flipped) <= 30


@pytest.mark.parametrize("size", SIZES)
def test_enlarging_brings_nearer(size) -> None:
    """Depth is divided by what the picture is enlarged by, over the whole range of 1 to 1.5."""
    sample = ramp(1)
    transform = TrainTransform(size, only(scale=EIGEN.scale))
    width = Preprocess(size).working_size(480, 640)[1]  # of the whole photo at scale 1
    scales = []
    for seed in range(20):
        result = transform(sample, np.random.default_rng(seed))
        assert result["valid"].all()
        grey = result["rgb"][0, 100]
        enlarged_by = size[1] / ((grey[-1] - grey[0]) * width)  # a narrower part of the ramp is seen
        depth_m = NEAR_M + grey * (FAR_M - NEAR_M)
        divided_by = np.median(depth_m / result["depth_m"][0, 100])
        assert divided_by == pytest.approx(enlarged_by, rel=0.02)
        scales.append(divided_by)
    assert 0.99 < min(scales) < 1.1 and 1.4 < max(scales) < 1.51


def test_crop_goes_everywhere() -> None:
    """Enlarged photos are cut at random places, not always in the middle or the corner."""
    transform = TrainTransform((224, 288), only(scale=(1.5, 1.5)))
    left = [transform(ramp(1), np.random.default_rng(seed))["rgb"][0, 0, 0] for seed in range(20)]
    top = [transform(ramp(0), np.random.default_rng(seed))["rgb"][0, 0, 0] for seed in range(20)]
    for begin in (left, top):
        assert min(begin) < 0.08 and max(begin) > 0.25 and len(set(begin)) > 10


@pytest.mark.parametrize("size", SIZES)
def test_turned_corners_are_black_and_invalid(size) -> None:
    white = sample_from("white", np.full((480, 640, 3), 255, np.uint8), np.full((480, 640), 2, np.float32))
    result = TrainTransform(size, only(rotation_deg=5))(white, np.random.default_rng(0))
    valid, rgb = result["valid"][0], result["rgb"]
    corners = [valid[0, 0], valid[0, -1], valid[-1, 0], valid[-1, -1]]
    assert not all(corners), "this turn leaves no corner uncovered: take another seed"
    outside = cv2.erode((~valid).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert outside.any()
    assert (rgb[:, outside] == 0).all() and (rgb[:, away_from(~valid, 2)] == 1).all()
    assert (result["depth_m"][0][~valid] == 0).all() and (result["depth_m"][0][valid] == 2).all()


@pytest.mark.parametrize(("pitch_deg", "yaw_deg"), [(8, 0), (0, -8), (-5, 7)])
def test_a_turned_camera_sees_the_same_points(pitch_deg: float, yaw_deg: float) -> None:
    """Each pixel, as a point in space, against the rotation written out."""
    height, width, focal = 480, 640, 518.86
    camera = find_intrinsics(height, width)
    homography = turned_picture(camera, pitch_deg, yaw_deg)
    factor = turned_depth(camera, (height, width), pitch_deg, yaw_deg)
    for u, v, z in ((0, 0, 1.0), (639, 479, 4.0), (100, 300, 2.5)):
        x, y = (u - 319.5) / focal * z, (v - 239.5) / focal * z
        yaw, pitch = np.radians((yaw_deg, pitch_deg))
        x1, z1 = np.cos(yaw) * x + np.sin(yaw) * z, np.cos(yaw) * z - np.sin(yaw) * x
        y2, z2 = np.cos(pitch) * y - np.sin(pitch) * z1, np.cos(pitch) * z1 + np.sin(pitch) * y
        seen = homography @ (u, v, 1)
        assert seen[:2] / seen[2] == pytest.approx([x1 / z2 * focal + 319.5, y2 / z2 * focal + 239.5], abs=1e-6)
        assert factor[v, u] * z == pytest.approx(z2, abs=1e-5)


@pytest.mark.parametrize("turn_deg", [0.0, 8.0])
def test_depth_is_what_nyus_camera_would_see(turn_deg: float) -> None:
    """A lens of twice the focal length shows a wall at 4 m as NYU's shows one at 2 m, turned or not."""
    white, rng = np.full((480, 640, 3), 255, np.uint8), np.random.default_rng
    near, far = (sample_from("wall", white, np.full((480, 640), metres, np.float32)) for metres in (2, 4))
    transform = TrainTransform((240, 320), only(turn_deg=turn_deg, scale=(1.0, 1.0)))
    by_nyu = transform(near, rng(1))["depth_m"]
    by_long_lens = transform(replace(far, focal_px=2 * 518.86), rng(1))["depth_m"]
    if turn_deg:  # the longer lens sees a smaller angle, so the wall leans less within the picture
        assert np.ptp(by_long_lens[by_long_lens > 0]) < np.ptp(by_nyu[by_nyu > 0])
        assert np.median(by_long_lens) == pytest.approx(np.median(by_nyu), rel=0.1)
    else:
        np.testing.assert_allclose(by_long_lens, by_nyu, rtol=1e-6)


def test_a_wall_is_a_wall_to_a_turned_camera() -> None:
    """Inverse depth of a plane is linear in the picture; at 2 m its coefficients form a vector of length 1/2."""
    wall = sample_from("wall", np.full((480, 640, 3), 255, np.uint8), np.full((480, 640), 2, np.float32))
    for seed in range(5):
        result = TrainTransform((480, 640), only(turn_deg=8))(wall, np.random.default_rng(seed))
        v, u = np.nonzero(result["valid"][0])
        rays = np.stack([(u - 319.5) / 518.86, (v - 239.5) / 518.86, np.ones(len(u))], axis=1)
        normal, *_ = np.linalg.lstsq(rays, 1 / result["depth_m"][0][v, u], rcond=None)
        assert np.abs(1 / (rays @ normal) - result["depth_m"][0][v, u]).max() < 0.01
        assert np.linalg.norm(normal) == pytest.approx(0.5, abs=1e-3)
        assert abs(normal[2]) < 0.5 - 1e-5  # it was turned


def textured() -> Sample:
    rng = np.random.default_rng(11)
    small = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    image = np.repeat(np.repeat(small, 40, axis=0), 40, axis=1)
    return sample_from("texture", image, 1 + image[..., 0].astype(np.float32) / 64)


def holed(sample: Sample) -> Sample:
    depth_m = sample.depth_m.copy()
    depth_m[100:300, 200:280] = 0
    return sample_from(sample.name, sample.image, depth_m)


def test_depth_is_sampled_never_blended() -> None:
    """At an edge, between a near and a far thing, there is nothing; at a hole's edge there is no half depth."""
    sample = holed(textured())
    result = TrainTransform((289, 385), only(rotation_deg=5, scale=(1.3, 1.3)))(sample, np.random.default_rng(2))
    depths_m = np.unique(result["depth_m"][result["valid"]])
    there_are = np.unique(sample.depth_m) / np.float32(1.3)
    assert np.abs(depths_m[:, None] - there_are).min(axis=1).max() < 1e-6
    assert not result["depth_m"][~result["valid"]].any()
    assert 0.03 < (~result["valid"]).mean() < 0.2


def test_the_generator_decides_everything() -> None:
    transform, sample = TrainTransform((224, 288)), textured()
    before = sample.image.copy(), sample.depth_m.copy()
    one, same, other = (transform(sample, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for key, array in one.items():
        np.testing.assert_array_equal(array, same[key])
    assert not np.array_equal(one["rgb"], other["rgb"])
    np.testing.assert_array_equal(sample.image, before[0])  # samples may be kept and used again
    np.testing.assert_array_equal(sample.depth_m, before[1])


def test_colour_keeps_depth() -> None:
    sample = holed(textured())
    plain = TrainTransform((224, 288), only())(sample, np.random.default_rng(1))
    coloured = TrainTransform((224, 288), only(colour=(0.8, 1.2)))(sample, np.random.default_rng(1))
    np.testing.assert_array_equal(plain["depth_m"], coloured["depth_m"])
    np.testing.assert_array_equal(plain["valid"], coloured["valid"])
    assert not np.allclose(plain["rgb"], coloured["rgb"], atol=0.02)


def test_colour_is_one_factor_a_channel() -> None:
    grey = sample_from("grey", np.full((48, 64, 3), 100, np.uint8), np.full((48, 64), 2, np.float32))
    transform = TrainTransform((48, 64), only(colour=EIGEN.colour))
    factors = np.array([transform(grey, np.random.default_rng(s))["rgb"] / (100 / 255) for s in range(40)])
    assert np.ptp(factors, axis=(2, 3)).max() < 1e-5  # the same all over the picture
    assert 0.8 - 1e-5 <= factors.min() < 0.85 and 1.15 < factors.max() <= 1.2 + 1e-5
    assert np.ptp(factors[:, :, 0, 0], axis=1).min() > 1e-4  # and not the same in all three channels


def test_losing_all_colour() -> None:
    rgb = TrainTransform((224, 288), only(grey=1))(textured(), np.random.default_rng(0))["rgb"]
    np.testing.assert_allclose(rgb[0], rgb[1], atol=1e-6)
    np.testing.assert_allclose(rgb[0], rgb[2], atol=1e-6)
    assert rgb.std() > 0.05


@pytest.mark.parametrize(("change", "darker"), [({"gamma": (1.3, 1.3)}, True), ({"brightness": (1.3, 1.3)}, False)])
def test_light(change: dict, darker: bool) -> None:
    plain = TrainTransform((224, 288), only())(textured(), np.random.default_rng(0))["rgb"]
    changed = TrainTransform((224, 288), only(**change))(textured(), np.random.default_rng(0))["rgb"]
    assert bool(changed.mean() < plain.mean()) is darker
    assert changed.min() >= 0 and changed.max() <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
@pytest.mark.parametrize("photo", [(480, 640), (640, 480), (60, 400), (1, 1), (1000, 700)])
def test_training_shapes(size, augmentation: Augmentation, photo: tuple[int, int]) -> None:
    """Always the network's size, whatever the photo's, so that samples go into one batch."""
    sample = sample_from("any", np.full((*photo, 3), 255, np.uint8), np.full(photo, 2, np.float32))
    for seed in range(3):
        result = TrainTransform(size, augmentation)(sample, np.random.default_rng(seed))
        assert {key: (array.shape, array.dtype) for key, array in result.items()} == {
            "rgb": ((3, *size), np.dtype(np.float32)),
            "depth_m": ((1, *size), np.dtype(np.float32)),
            "valid": ((1, *size), np.dtype(bool)),
        }
        assert result["rgb"].min() >= 0 and result["rgb"].max() <= 1
        # A wide photo, turned, misses more of a crop at its end; a camera turned before it, more again.
        assert result["valid"].mean() > (0.1 if augmentation.turn_deg else 0.6)


def test_training_sees_what_predict_shows() -> None:
    """At scale 1 an NYU photo goes in at the working size of predict."""
    sample = textured()
    trained = TrainTransform((289, 385), STILL)(sample, np.random.default_rng(0))["rgb"]
    shown = Preprocess((289, 385))(sample.image).transpose(2, 0, 1)
    np.testing.assert_allclose(trained * 255, shown, atol=1.5)


def test_the_network_sees_multiples_where_it_wants_them():
    """The nearest, at least one; the shape of the photo is kept up to that."""
    assert Preprocess((224, 224), 32).working_size(480, 640) == (224, 288)  # 298.7
    assert Preprocess((256, 256), 32).working_size(480, 640) == (256, 352)  # 341.3
    assert Preprocess((336, 336), 14).working_size(640, 480) == (448, 336)
    assert Preprocess((32, 32), 14).working_size(4000, 40) == (126, 42)


@pytest.mark.parametrize("photo", [(480, 640), (640, 480), (500, 500), (100, 500), (300, 100)])
def test_one_scale_for_photos_of_any_shape(photo: tuple[int, int]) -> None:
    """How large things look decides their depth: at scale 1 training shows a photo at predict's working size."""
    size = (60, 80)
    sample = sample_from("any", np.full((*photo, 3), 128, np.uint8), np.full(photo, 2, np.float32))
    valid = TrainTransform(size, STILL)(sample, np.random.default_rng(0))["valid"][0]
    height, width = Preprocess(size).working_size(*photo)
    assert (valid.any(axis=1).sum(), valid.any(axis=0).sum()) == (min(60, height), min(80, width))


def test_eigen_has_the_paper_s_ranges() -> None:
    """Section 3.4: scale 1 to 1.5, rotation -5 to 5 degrees, colour 0.8 to 1.2, flips with 0.5; nothing else."""
    assert Augmentation() == EIGEN
    assert (EIGEN.scale, EIGEN.rotation_deg, EIGEN.colour, EIGEN.flip) == ((1, 1.5), 5, (0.8, 1.2), 0.5)
    assert (EIGEN.brightness, EIGEN.gamma, EIGEN.grey) == ((1, 1), (1, 1), 0)


# ---- predict, evaluate, validation ----


@pytest.mark.parametrize(
    ("network", "photo", "expected"),
    [
        ((289, 385), (480, 640), (289, 385)),
        ((289, 385), (640, 480), (385, 289)),  # portrait
        ((289, 385), (1080, 1920), (289, 514)),
        ((289, 385), (700, 700), (289, 289)),
        ((289, 385), (144, 192), (289, 385)),  # a small photo is enlarged
        ((224, 288), (480, 640), (224, 299)),
        ((224, 288), (224, 896), (224, 896)),  # 4 : 1 is just allowed
        ((224, 288), (500, 5000), (90, 896)),  # a panorama: the longer side is bounded
        ((224, 288), (5000, 500), (896, 90)),
        ((224, 288), (1, 1), (224, 224)),
        ((224, 288), (1, 400), (32, 896)),  # below 32 the backbone has nothing left
    ],
)
def test_working_size(network, photo, expected) -> None:
    preprocess = Preprocess(network)
    assert preprocess.working_size(*photo) == expected
    result = preprocess(np.zeros((*photo, 3), np.uint8))
    assert result.shape == (*expected, 3) and result.dtype == np.uint8


def test_red_comes_first() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 0], image[..., 1] = 255, 51
    red, green, blue = to_network(image)
    assert (red == 1).all() and blue.max() == 0
    np.testing.assert_allclose(green, 0.2, atol=1e-6)


def test_shrinking_averages() -> None:
    """A fine pattern becomes its mean; picking pixels would make stripes of it."""
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::2] = 255
    result = shrink(stripes, (120, 160))
    assert np.abs(result.astype(int) - 128).max() <= 1


def test_up_is_up() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[:100, :, 0], image[:, :100, 1] = 255, 255
    red, green, _ = Preprocess((289, 385))(image).transpose(2, 0, 1) / 255
    assert (red[0] == 1).all() and (red[-1] == 0).all()
    assert (green[:, 0] == 1).all() and (green[:, -1] == 0).all()
