"""look.html in a real browser: what it says of a pixel and of two, how it is used, and what it gives away."""

import base64
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import numpy as np
import pytest
import trimesh
from PIL import ExifTags, Image
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

import kinect_room
from browser import BROWSERS, DESK, PHONE, PRIVATE_FIREFOX, Browser, open_browser
from conftest import scene
from firefox import Firefox
from hqmd_cli.data.nyu_raw import kinect
from hqmd_cli.files.photos import read_photo
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.inference.uncertainty import Uncertainty
from hqmd_cli.page.build import FOLDER
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.prediction.result import DepthResult, Style
from hqmd_cli.prediction.writers.look import depth_png, encode_look, metadata
from hqmd_cli.visualization.colormap import colorize

pytestmark = pytest.mark.slow
SIZE = (120, 160)
PLAIN = Style()
LARGEST_CANVAS = 16_777_216  # pixels; iOS shows nothing larger
LARGEST_TEXTURE = 4096
CLICK = """const [stage, share, kinds] = arguments, box = stage.getBoundingClientRect();
const at = {clientX: box.left + share[0] * box.width, clientY: box.top + share[1] * box.height, bubbles: true,
            pointerId: 1, pointerType: 'mouse', button: 0};
for (const kind of kinds) stage.dispatchEvent(new PointerEvent(kind, at));"""
WATCH = """window.canvases = []; window.textures = [];
for (const side of ['width', 'height']) {
  const known = Object.getOwnPropertyDescriptor(HTMLCanvasElement.prototype, side);
  Object.defineProperty(HTMLCanvasElement.prototype, side, {...known, set(value) {
    known.set.call(this, value); canvases.push(this.width * this.height); }});
}
const known = WebGL2RenderingContext.prototype.texImage2D;
WebGL2RenderingContext.prototype.texImage2D = function (...all) {
  const picture = all.at(-1);
  if (all.length === 9) textures.push(...all.slice(3, 5));
  else textures.push(picture.naturalWidth ?? picture.width, picture.naturalHeight ?? picture.height);
  return known.apply(this, all);
};"""

QUIRKS = re.compile("GPU stall|WEBGL_debug_renderer_info|WebGL")  # of browsers without a graphics card
UNFINISHED = (".crdownload", ".part")
WEBGL = "return Boolean(document.createElement('canvas').getContext('webgl2'))"
MARKS = """return [...document.querySelectorAll('[data-part="room-marks"] .ring')].map((ring) => {
  const {e, f} = ring.parentElement.transform.baseVal[0].matrix; return [e, f]; })"""
LOADED = """return performance.getEntriesByType('resource').map((entry) => entry.name)
  .filter((name) => !/^(data|blob):/.test(name))"""


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    with open_browser(request.param) as browser:
        yield browser


def result_of(image: np.ndarray, depth_m: np.ndarray, **more: Any) -> DepthResult:
    known = depth_m[depth_m > 0]
    camera = find_intrinsics(*depth_m.shape, fov_deg=60)
    return DepthResult(
        image, depth_m, camera, float(known.min()), float(known.max()), photo="a photo.jpg", model="m"
    )._replace(**more)


def sure(size: tuple[int, int]) -> Uncertainty:
    """Errors of 5 to 25 %, growing to the right."""
    return Uncertainty(0.15, np.linspace(0.05, 0.25, 40, dtype=np.float32)[None].repeat(30, axis=0))


@pytest.fixture(scope="module")
def room() -> DepthResult:
    """A floor with a box, a hole without depth, and errors."""
    image, depth_m = scene(3, SIZE)
    depth_m[10:20, 10:30] = 0
    return result_of(image, depth_m, uncertainty=sure(SIZE))


class Opened:
    """A page in the browser."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder = browser, folder

    def part(self, name: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, f'[data-part="{name}"]')

    def until(self, holds: Callable[[], object], seconds: float = 60) -> Any:
        return WebDriverWait(self.browser, seconds, poll_frequency=0.05).until(lambda _: holds())

    def on_stage(self, pixel: tuple[float, float], shape: tuple[int, ...], *kinds: str) -> None:
        """Let the pointer do this at a pixel (x, y)."""
        share = [(pixel[0] + 0.5) / shape[1], (pixel[1] + 0.5) / shape[0]]
        self.browser.execute_script(CLICK, self.part("stage"), share, kinds)

    def hover(self, pixel: tuple[int, int], shape: tuple[int, ...]) -> float:
        """What the page says of a pixel."""
        self.on_stage(pixel, shape, "pointermove")
        tip = self.part("tip")
        said = self.browser.execute_script("return {...arguments[0].dataset}", tip)
        assert (int(said["x"]), int(said["y"])) == pixel
        return float(said["value"])

    def click(self, pixel: tuple[int, int], shape: tuple[int, ...]) -> None:
        self.on_stage(pixel, shape, "pointermove", "pointerdown", "pointerup", "click")

    def length(self) -> tuple[float, float]:
        """The distance that the page shows, and its error, in metres."""
        said = self.browser.execute_script("return {...arguments[0].dataset}", self.part("length"))
        return float(said["metres"]), float(said["error"]) if said["error"] != "null" else np.nan

    def pixels(self) -> list[list[int]]:
        """The two pixels [x, y] that it measures between."""
        said = self.browser.execute_script("return {...arguments[0].dataset}", self.part("length"))
        return [[int(number) for number in said[point].split(",")] for point in "ab"]

    def open_room(self) -> None:
        """Choose the 3D tab, and wait until it has both pictures. Firefox without a screen may have no WebGL."""
        if isinstance(self.browser, Firefox) and not self.browser.execute_script(WEBGL):
            pytest.skip("this Firefox offers no WebGL here; what comes before 3D has passed")
        self.part("tab-room").click()
        self.until(lambda: self.part("room").is_displayed() and not self.part("picture").is_displayed())
        time.sleep(0.5)

    def download(self, kind: str) -> Path:
        before = set(self.folder.iterdir())
        self.browser.execute_script("arguments[0].click()", self.part(f"get-{kind}"))

        def whole() -> list[Path]:
            """The new file; a browser writes beside it, or keeps its name with an empty one."""
            new = list(set(self.folder.iterdir()) - before)
            return new if len(new) == 1 and new[0].suffix not in UNFINISHED and new[0].stat().st_size else []

        (new,) = self.until(whole)
        time.sleep(0.2)
        return new

    def complaints(self) -> list[str]:
        return [text for text in self.browser.said() if not QUIRKS.search(text)]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """`opened(result)` opens its page, after `before`, a script, has run in it."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    browser.save_to(downloads)

    def open_page(result: DepthResult, size: tuple[int, int] = DESK, before: str = "", style: Style = PLAIN) -> Opened:
        content, _ = encode_look(Path("look.html"), result, style)
        (tmp_path / "a page.html").write_bytes(content)
        browser.resize(size)
        browser.get("about:blank")
        browser.said()
        browser.run_first(before)
        browser.get((tmp_path / "a page.html").as_uri())
        page = Opened(browser, downloads)
        page.until(lambda: browser.find_elements(By.CSS_SELECTOR, '[data-part="stage"]'))
        return page

    yield open_page
    browser.run_first("")


# --- numbers


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_hovering_says_what_the_npy_says(opened, room: DepthResult, size: tuple[int, int]) -> None:
    page = opened(room, size)
    rng = np.random.default_rng(0)
    for x, y in zip(rng.integers(0, SIZE[1], 30).tolist(), rng.integers(0, SIZE[0], 30).tolist(), strict=True):
        if room.depth_m[y, x]:
            assert page.hover((x, y), SIZE) == pytest.approx(room.depth_m[y, x], abs=0.001)
    page.hover((15, 12), SIZE)
    assert page.part("tip").text == "no depth here"
    page.hover((120, 100), SIZE)
    depth_m = room.depth_m[100, 120]
    error = depth_m * np.hypot(0.15, room.shape_error[100, 120])
    assert page.part("tip").text == f"{depth_m:.2f} m ± {error:.1f}"


@pytest.mark.parametrize("before", ["", "delete window.DecompressionStream"], ids=["", "an older browser"])
def test_every_millimetre_is_exact(opened, before: str) -> None:
    """Of 1 to 65,535; a canvas would keep 8 of the 16 bits."""
    values = np.append(np.arange(1, 2**16), 1).reshape(256, 256)
    depth_m = (values / 1000).astype(np.float32)
    page = opened(result_of(np.zeros((256, 256, 3), np.uint8), depth_m), before=before)
    kept = np.load(page.download("npy"))
    assert kept.dtype == np.float32 and (kept == depth_m).all()
    for x, y in ((0, 0), (255, 0), (17, 131), (254, 255)):
        assert page.hover((x, y), (256, 256)) == values[y, x] / 1000


def test_two_points_in_a_room_of_known_geometry(opened) -> None:
    depth_m, _ = kinect_room.truth()
    lens = kinect.COLOUR
    camera = Intrinsics(lens.fx, lens.fy, lens.cx, lens.cy, "the colour camera")
    image = np.zeros((*depth_m.shape, 3), np.uint8)
    page = opened(result_of(image, depth_m.astype(np.float32), intrinsics=camera, uncertainty=sure(SIZE)))
    rng = np.random.default_rng(1)
    for _ in range(10):
        (x1, x2), (y1, y2) = rng.integers(20, 620, 2).tolist(), rng.integers(20, 460, 2).tolist()
        page.click((x1, y1), depth_m.shape)
        page.click((x2, y2), depth_m.shape)
        pixels = page.pixels()  # browsers round the place of a click
        np.testing.assert_allclose(pixels, [(x1, y1), (x2, y2)], atol=1)
        points = [depth_m[y, x] * np.array([(x - lens.cx) / lens.fx, (y - lens.cy) / lens.fy, 1]) for x, y in pixels]
        apart = points[0] - points[1]
        true = np.linalg.norm(apart)
        metres, error = page.length()
        assert metres == pytest.approx(true, rel=0.01)
        shape = sure(SIZE).at(depth_m.shape)
        parts = [(true, 0.15)]  # lengths, and their relative errors
        parts += [(apart @ point / true, shape[y, x]) for point, (x, y) in zip(points, pixels, strict=True)]
        assert error == pytest.approx(np.sqrt(sum((length * each) ** 2 for length, each in parts)), rel=0.02)
    said = page.part("detail").text
    low, high = (np.sqrt(sum((d * np.expm1(side * 1.645 * e)) ** 2 for d, e in parts)) for side in (-1, 1))
    shown = [float(number) for number in re.findall(r"([\d.]+) m", said)]
    assert said.startswith("9 times in 10 between ") and shown == pytest.approx([metres - low, metres + high], abs=0.02)


def test_colours_are_those_of_predict(opened, room: DepthResult) -> None:
    page = opened(room, style=Style(near_m=2, far_m=4))
    pixels = """const c = document.querySelector('[data-part="depth"]');
        return [c.width, c.height, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"""

    def shown() -> np.ndarray:
        width, height, *values = page.browser.execute_script(pixels)
        return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]

    kept_m = np.round(room.depth_m, 3)
    np.testing.assert_allclose(shown().astype(int), colorize(kept_m, 2, 4).astype(int), atol=3)
    Select(page.part("colormap")).select_by_value("viridis")
    page.browser.execute_script(
        "arguments[0].value = 3; arguments[0].dispatchEvent(new Event('change'))", page.part("far")
    )
    np.testing.assert_allclose(shown().astype(int), colorize(kept_m, 2, 3, "viridis").astype(int), atol=5)


@pytest.mark.parametrize("browser", [PRIVATE_FIREFOX], indirect=True)
def test_a_private_mode_reads_and_gives_the_same_numbers(opened, room: DepthResult) -> None:
    """It adds noise to pixels that a page reads from a canvas; depth is read from the file's own bytes."""
    page = opened(room)
    noisy = """const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
        pen.fillStyle = 'rgb(40, 120, 200)'; pen.fillRect(0, 0, 16, 16);
        return [...pen.getImageData(0, 0, 9, 1).data]"""
    assert page.browser.execute_script(noisy) != [40, 120, 200, 255] * 9  # so this mode is on
    kept_m = np.load(page.download("npy"))
    np.testing.assert_array_equal(np.nan_to_num(kept_m), np.round(room.depth_m * 1000).astype(np.float32) / 1000)
    mm = Image.open(page.download("mm"))
    np.testing.assert_array_equal(np.asarray(mm), np.round(room.depth_m * 1000))
    rng = np.random.default_rng(0)
    for x, y in zip(rng.integers(0, SIZE[1], 100).tolist(), rng.integers(20, SIZE[0], 100).tolist(), strict=True):
        assert page.hover((x, y), SIZE) == pytest.approx(kept_m[y, x], abs=1e-6)


# --- how it is used


def test_it_fits_is_quiet_and_loads_nothing(opened, room: DepthResult) -> None:
    for size in (PHONE, DESK):
        page = opened(room, size)
        page.click((30, 60), SIZE)
        page.click((120, 100), SIZE)
        page.open_room()
        wide = "return [document.documentElement.scrollWidth, innerWidth]"
        scrolled, inner = page.browser.execute_script(wide)
        assert scrolled <= inner and not page.browser.execute_script(LOADED)
        assert not page.complaints()


def test_the_keyboard_measures(opened, room: DepthResult) -> None:
    page = opened(room)
    stage = page.part("stage")
    stage.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    stage.send_keys(Keys.SHIFT, Keys.ARROW_DOWN)
    x, y = SIZE[1] // 2 + 4, SIZE[0] // 2 + 1
    assert page.part("live").text.startswith(f"column {x}, row {y}: {room.depth_m[y, x]:.2f} m ± ")
    ActionChains(page.browser).key_up(Keys.SHIFT).perform()
    stage.send_keys(Keys.ENTER, *[Keys.ARROW_LEFT] * 9, Keys.ENTER)
    assert page.length()[0] > 0 and page.part("live").text.startswith("Distance from A to B: ")
    stage.send_keys(Keys.ESCAPE)
    assert not page.part("answer").is_displayed()


def test_the_slider_and_its_grip(opened, room: DepthResult) -> None:
    page = opened(room)
    at = "return getComputedStyle(document.querySelector('[data-part=stage]')).getPropertyValue('--at')"
    page.part("split").send_keys(Keys.HOME)
    assert page.browser.execute_script(at) == "0%"
    grip = page.browser.find_element(By.CSS_SELECTOR, '[data-part="grip"] i')
    page.part("split").send_keys(Keys.END, *[Keys.ARROW_LEFT] * 40)
    before = float(page.browser.execute_script(at)[:-1])
    ActionChains(page.browser).click_and_hold(grip).move_by_offset(-200, 0).release().perform()
    assert float(page.browser.execute_script(at)[:-1]) < before - 10
    assert not page.part("answer").is_displayed()  # sliding sets no point


def test_real_clicks_drags_and_the_assumed_camera(opened, room: DepthResult) -> None:
    page = opened(room._replace(intrinsics=find_intrinsics(*SIZE)))
    assert "The camera is assumed," in page.part("caveat").text and "--fov" in page.part("caveat").text
    stage = page.part("stage")
    width = stage.size["width"]
    for right in (-width // 4, width // 4):
        ActionChains(page.browser).move_to_element_with_offset(stage, right, 100).click().perform()
    first, _ = page.length()
    assert page.part("clear").is_displayed()
    ActionChains(page.browser).drag_and_drop_by_offset(stage, 0, 0)  # nothing: no point is there
    grab = ActionChains(page.browser).move_to_element_with_offset(stage, width // 4, 100)
    grab.click_and_hold().move_by_offset(-width // 8, 0).release().perform()
    assert page.length()[0] < first
    page.part("clear").click()
    assert not page.part("answer").is_displayed()


def test_points_without_depth_are_refused(opened, room: DepthResult) -> None:
    page = opened(room)
    page.click((15, 12), SIZE)
    assert page.part("hint").text == "There is no depth at this point."


def test_depth_beyond_16_bits(opened, room: DepthResult) -> None:
    depth_m = room.depth_m.copy()
    depth_m[:40] = 80
    page = opened(room._replace(depth_m=depth_m, far=80.0))
    page.hover((100, 10), SIZE)
    assert page.part("tip").text == "65.53 m or more" or page.part("tip").text == "65.54 m or more"
    page.click((100, 10), SIZE)
    page.click((100, 100), SIZE)
    assert "may lie farther away" in page.part("detail").text


@pytest.mark.parametrize("kind", ["disparity", "relative"])
def test_no_metres_are_claimed_without_metres(opened, room: DepthResult, kind: str) -> None:
    values = np.linspace(-1, 3, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    near, far = (3.0, -1.0) if kind == "disparity" else (-1.0, 3.0)
    page = opened(room._replace(depth_m=values, kind=kind, near=near, far=far, uncertainty=None))
    assert page.hover((7, 100), SIZE) == pytest.approx(values[100, 7], abs=1e-4)
    page.click((7, 100), SIZE)
    page.click((70, 100), SIZE)
    assert not page.part("answer").is_displayed()
    assert not page.part("tab-room").is_enabled() and "needs metres" in page.part("no-room").text
    assert [name for name in ("mm", "npy", "ply", "glb") if page.part(f"get-{name}").is_displayed()] == ["npy"]
    np.testing.assert_allclose(np.load(page.download("npy")), values, atol=1e-4)
    assert " m " not in page.browser.find_element(By.TAG_NAME, "main").text.replace("no metres", "")


# --- photos as cameras write them


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_depth_hover_and_3d_agree(opened, tmp_path: Path, orientation: int) -> None:
    """A red corner is near. The photo is stored in each of the 8 ways that EXIF knows."""
    upright = np.full((90, 150, 3), (40, 90, 40), np.uint8)
    upright[:45, :60] = 220, 20, 20
    turns = [
        lambda a: a, lambda a: a[:, ::-1], lambda a: a[::-1, ::-1], lambda a: a[::-1],
        lambda a: a.transpose(1, 0, 2), lambda a: np.rot90(a), lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        lambda a: np.rot90(a, -1),
    ]  # fmt: skip
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = np.ascontiguousarray(turns[orientation - 1](upright))
    Image.fromarray(stored).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = read_photo(tmp_path / "turned.jpg").rgb
    assert image.shape == upright.shape
    depth_m = np.where(image[..., 0] > 130, 1.0, 1.2).astype(np.float32)
    page = opened(result_of(image, depth_m))
    size = "const p = arguments[0]; return [p.naturalHeight, p.naturalWidth, p.clientWidth / p.clientHeight]"
    height, width, shown = page.browser.execute_script(size, page.part("photo"))
    assert (height, width) == (90, 150) and shown == pytest.approx(150 / 90, rel=0.02)
    assert page.hover((30, 20), upright.shape) == 1.0 and page.hover((120, 70), upright.shape) == pytest.approx(1.2)
    page.part("split").send_keys(Keys.END)  # the photo alone
    stage = Image.open(BytesIO(page.part("stage").screenshot_as_png)).convert("RGB")
    assert np.argmax(stage.getpixel((stage.width // 5, stage.height // 5))) == 0
    assert np.argmax(stage.getpixel((stage.width * 4 // 5, stage.height * 4 // 5))) == 1
    page.click((30, 20), upright.shape)
    page.click((120, 70), upright.shape)
    page.open_room()
    page.until(lambda: len(page.browser.execute_script(MARKS)) == 2)
    space = Image.open(BytesIO(page.part("space").screenshot_as_png)).convert("RGB")
    for (x, y), strongest in zip(page.browser.execute_script(MARKS), (0, 1), strict=True):
        around = [space.getpixel((int(x) + dx, int(y) + dy)) for dx, dy in ((-14, 14), (14, 14), (0, 16))]
        assert [int(np.argmax(colour)) for colour in around] == [strongest] * 3, (orientation, around)


@pytest.mark.long
@pytest.mark.timeout(900)  # without a graphics card
def test_48_megapixels(opened) -> None:
    """No canvas is larger than phones allow, textures are small, and hovering reads every pixel of the map."""
    rows, columns = np.mgrid[:6000, :8000]
    depth_m = (1 + (columns + rows) / 5000).astype(np.float32)
    page = opened(result_of(np.full((6000, 8000, 3), 90, np.uint8), depth_m), before=WATCH)
    for x, y in ((0, 0), (7999, 5999), (4321, 1234)):
        assert page.hover((x, y), (6000, 8000)) == pytest.approx(depth_m[y, x], abs=0.001)
    page.open_room()
    page.until(lambda: page.browser.execute_script("return textures.length") >= 4)
    assert max(page.browser.execute_script("return canvases")) <= LARGEST_CANVAS
    assert max(page.browser.execute_script("return textures")) <= LARGEST_TEXTURE
    assert not page.complaints()


# --- what it gives away


def test_files_are_those_of_predict(opened, room: DepthResult, tmp_path: Path) -> None:
    page = opened(room)
    expected = {kind: OUTPUTS[kind].encode(tmp_path / "x", room, Style())[0] for kind in ("mm", "ply", "glb")}
    mm = page.download("mm")
    assert mm.name == "a photo.mm.png" and mm.read_bytes() == expected["mm"]
    npy = np.load(page.download("npy"))
    np.testing.assert_allclose(npy[room.depth_m > 0], room.depth_m[room.depth_m > 0], atol=0.0005001)
    assert np.isnan(npy[room.depth_m == 0]).all()

    ply = page.download("ply")
    mine, theirs = (trimesh.load(BytesIO(content), file_type="ply") for content in (ply.read_bytes(), expected["ply"]))
    np.testing.assert_allclose(mine.vertices, theirs.vertices, atol=0.002)
    np.testing.assert_allclose(mine.colors[:, :3].astype(int), theirs.colors[:, :3].astype(int), atol=40)
    assert np.abs(mine.colors.astype(int) - theirs.colors).mean() < 3  # a JPEG lies between
    comments = [
        [line for line in bytes(content[:600]).split(b"\n") if line.startswith(b"comment ") and b": " in line]
        for content in (ply.read_bytes(), expected["ply"])
    ]
    assert comments[0] == comments[1] and len(comments[0]) == 3

    glb = page.download("glb")
    both = (trimesh.load(BytesIO(content), file_type="glb") for content in (glb.read_bytes(), expected["glb"]))
    mine, theirs = (next(iter(loaded.geometry.values())) for loaded in both)
    assert len(mine.faces) == len(theirs.faces)
    np.testing.assert_allclose(np.sort(mine.vertices, axis=0), np.sort(theirs.vertices, axis=0), atol=0.002)
    assert np.ptp(mine.visual.uv, axis=0) == pytest.approx(np.ptp(theirs.visual.uv, axis=0), abs=1e-4)
    picture = np.asarray(mine.visual.material.baseColorTexture.convert("RGB")).astype(int)
    assert np.abs(picture - room.image).mean() < 4
    tree = json.loads(glb.read_bytes()[20 : 20 + int.from_bytes(glb.read_bytes()[12:16], "little")])
    assert tree["asset"]["extras"]["unit"] == "metre" and "KHR_materials_unlit" in tree["extensionsUsed"]
    for content in (glb.read_bytes(), ply.read_bytes()):
        assert b"Exif" not in content and b"GPS" not in content


def test_what_is_too_unsure_is_left_out(opened, room: DepthResult, tmp_path: Path) -> None:
    style = Style(max_uncertainty=0.15)
    page = opened(room, style=style)
    mine = trimesh.load(BytesIO(page.download("ply").read_bytes()), file_type="ply")
    theirs = trimesh.load(BytesIO(OUTPUTS["ply"].encode(tmp_path / "x", room, style)[0]), file_type="ply")
    assert len(mine.vertices) == pytest.approx(len(theirs.vertices), rel=0.03)
    assert "15 %" in page.browser.execute_script("return arguments[0].textContent", page.part("facts"))


# --- 3D


def test_the_room_turns_cuts_and_measures(opened, room: DepthResult) -> None:
    page = opened(room)
    page.open_room()
    space = page.part("space")

    def picture() -> np.ndarray:
        time.sleep(0.4)
        return np.asarray(Image.open(BytesIO(space.screenshot_as_png)).convert("RGB")).astype(int)

    first = picture()
    ActionChains(page.browser).move_to_element(space).click_and_hold().move_by_offset(80, 30).release().perform()
    turned = picture()
    assert np.abs(turned - first).mean() > 2 and not page.part("answer").is_displayed()
    page.part("home").click()
    assert np.abs(picture() - first).mean() < 1
    space.send_keys(Keys.ARROW_LEFT)
    assert np.abs(picture() - first).mean() > 1
    space.send_keys("0")
    for choice in ("points", "depth"):
        before = picture()
        button = page.browser.find_element(By.CSS_SELECTOR, f'[value="{choice}"]')
        page.browser.execute_script("arguments[0].click()", button)
        assert np.abs(picture() - before).mean() > 0.5, choice
    before = picture()
    page.part("cut-far").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 5)
    assert np.abs(picture() - before).mean() > 5
    page.part("cut-far").send_keys(Keys.END)
    for right, down in ((-60, 60), (80, 40)):
        ActionChains(page.browser).move_to_element_with_offset(space, right, down).click().perform()
    metres, _ = page.length()
    assert 0.1 < metres < 5
    page.part("tab-picture").click()
    assert page.length()[0] == metres
    assert len(page.browser.find_elements(By.CSS_SELECTOR, '[data-part="marks"] .ring')) == 2


def test_a_click_in_3d_finds_the_pixel_below_it(opened, room: DepthResult) -> None:
    """A point set in the picture is found again by a click where 3D shows it."""
    page = opened(room)
    page.click((100, 80), SIZE)
    page.open_room()
    ((x, y),) = page.until(lambda: page.browser.execute_script(MARKS))
    space = page.part("space")
    aside = x - space.size["width"] / 2, y - space.size["height"] / 2
    ActionChains(page.browser).move_to_element_with_offset(space, round(aside[0]), round(aside[1])).click().perform()
    assert page.length()[0] < 0.1


# --- browsers that lack something


def test_without_webgl(opened, room: DepthResult) -> None:
    none = """const known = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
          return kind.startsWith('webgl') ? null : known.call(this, kind, ...more); }"""
    page = opened(room, PHONE, before=none)
    tab, why = page.part("tab-room"), page.part("no-room")
    assert not tab.is_enabled() and tab.rect["x"] + tab.rect["width"] < why.rect["x"]  # neither lies over the other
    assert page.part("no-room").text == "3D needs WebGL2, which this browser does not offer."
    page.click((30, 60), SIZE)
    page.click((120, 100), SIZE)
    assert page.length()[0] > 0 and page.download("glb").stat().st_size > 1000 and not page.complaints()


def test_without_javascript(browser: Browser, room: DepthResult, tmp_path: Path) -> None:
    content, _ = encode_look(Path("look.html"), room, Style())
    (tmp_path / "page.html").write_bytes(content)
    browser.use_scripts(False)
    try:
        browser.get((tmp_path / "page.html").as_uri())
        shown = [image.size["width"] for image in browser.find_elements(By.TAG_NAME, "img")]
        link = browser.find_element(By.CSS_SELECTOR, "a#depth")
        text = browser.find_element(By.TAG_NAME, "main").text
        assert len(shown) == 2 and min(shown) > 100 and link.is_displayed()
        assert "With JavaScript" in text and "metres" in text
        address = link.get_attribute("href")
    finally:
        browser.use_scripts(True)
    kept = np.asarray(Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))))
    assert (kept == np.round(room.depth_m * 1000)).all()


def test_a_damaged_page_says_so(opened, room: DepthResult, browser: Browser, tmp_path: Path) -> None:
    content = bytes(encode_look(Path("look.html"), room, Style())[0]).decode()
    at = content.index('id="depth"')
    start = content.index("base64,", at) + 500
    (tmp_path / "page.html").write_text(content[:start] + "A" * 40 + content[start + 40 :], "utf-8")
    browser.get((tmp_path / "page.html").as_uri())
    wait = WebDriverWait(browser, 10)
    wait.until(lambda b: "This page cannot be shown" in b.find_element(By.TAG_NAME, "main").text)
    assert browser.find_element(By.CSS_SELECTOR, "a#depth").is_displayed()  # what needs no script stays


# --- as hqmd serve shows it: the modules as files, the photo as the camera wrote it

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
SERVED = """<!DOCTYPE html><link rel="icon" href="data:,"><link rel="stylesheet" href="viewer.css">
<main id="look"></main><script type="module" src="go.js"></script>"""
GO = """import { showDepth } from "./viewer.js";
const [photo, depth, meta] = await Promise.all(["photo.jpg", "depth.png", "meta.json"].map((name) => fetch(name)));
const depthPng = new Uint8Array(await depth.arrayBuffer());
const shown = { photo: await photo.blob(), depthPng, meta: await meta.json() };
await showDepth(document.getElementById("look"), shown);
await showDepth(document.getElementById("look"), shown);  // again, as for the next photo
document.body.dataset.shown = "twice";"""


class Strict(SimpleHTTPRequestHandler):
    """Serves a folder under the policy of hqmd serve."""

    extensions_map: ClassVar = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def served(room: DepthResult, tmp_path: Path) -> Iterator[str]:
    """The address of a page whose photo is turned, and has a place in its EXIF."""
    folder = shutil.copytree(FOLDER, tmp_path / "served")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = 6, "SecretMaker"
    Image.fromarray(np.ascontiguousarray(np.rot90(room.image))).save(folder / "photo.jpg", exif=exif, quality=95)
    (folder / "depth.png").write_bytes(depth_png(room))
    (folder / "meta.json").write_text(json.dumps(metadata(room, Style())))
    (folder / "index.html").write_text(SERVED)
    (folder / "go.js").write_text(GO)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Strict, directory=str(folder)))
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_photo_of_the_user(opened, served: str, room: DepthResult, browser: Browser) -> None:
    """It is shown upright; its metadata stay out of the mesh; nothing needs more than the policy allows."""
    page = opened(room)  # for its folder
    browser.get(served)
    page.until(lambda: browser.find_elements(By.CSS_SELECTOR, '[data-shown] [data-part="stage"]'))
    size = "const p = arguments[0]; return [p.naturalHeight, p.naturalWidth]"
    page.until(lambda: browser.execute_script(size, page.part("photo")) == list(SIZE))
    assert page.hover((100, 80), SIZE) == pytest.approx(room.depth_m[80, 100], abs=0.001)
    glb = page.download("glb")
    content = glb.read_bytes()
    assert b"SecretMaker" not in content and b"Exif" not in content
    mesh = next(iter(trimesh.load(BytesIO(content), file_type="glb").geometry.values()))
    texture = mesh.visual.material.baseColorTexture.convert("RGB")
    assert texture.size == SIZE[::-1] and np.abs(np.asarray(texture).astype(int) - room.image).mean() < 6
    page.open_room()
    assert not page.complaints()


def test_a_photo_that_the_browser_cannot_show(
    opened, served: str, room: DepthResult, browser: Browser, tmp_path
) -> None:
    """Such as HEIC: depth, distances, 3D and files work without it."""
    (tmp_path / "served" / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    page = opened(room)
    browser.get(served)
    page.until(lambda: browser.find_elements(By.CSS_SELECTOR, '[data-shown] [data-part="stage"]'))
    page.until(lambda: "cannot show photos of this format" in page.part("hint").text)
    page.click((30, 60), SIZE)
    page.click((120, 100), SIZE)
    page.open_room()
    assert page.length()[0] > 0 and page.download("glb").stat().st_size > 1000 and not page.complaints()


def test_where_no_page_may_read_a_photos_pixels(opened, served: str, room: DepthResult, browser: Browser) -> None:
    """Private modes add noise to them: then files have the colours of the depth, which in glTF are linear."""
    noise = """const known = CanvasRenderingContext2D.prototype.getImageData;
        CanvasRenderingContext2D.prototype.getImageData = function (...box) {
          const read = known.apply(this, box);
          for (let i = 0; i < read.data.length; i++) read.data[i] ^= 85;
          return read; }"""
    page = opened(room, before=noise)
    browser.get(served)
    page.until(lambda: browser.find_elements(By.CSS_SELECTOR, '[data-shown] [data-part="stage"]'))
    assert (np.load(page.download("npy"))[40:] == np.round(room.depth_m[40:] * 1000).astype(np.float32) / 1000).all()
    glb = page.download("glb").read_bytes()
    assert "lets no page read" in page.part("about-files").text
    length = int.from_bytes(glb[12:16], "little")
    tree = json.loads(glb[20 : 20 + length])
    assert set(tree["meshes"][0]["primitives"][0]["attributes"]) == {"POSITION", "COLOR_0"}
    views = [tree["bufferViews"][i] for i in (0, 1)]
    points, colours = (
        np.frombuffer(glb, np.float32, view["byteLength"] // 4, 28 + length + view["byteOffset"]).reshape(-1, 3)
        for view in views
    )
    srgb = colorize(np.round(-points[:, 2:], 3), room.near, room.far)[:, 0] / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(colours, linear, atol=0.03)
