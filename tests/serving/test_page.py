"""The page in a real browser: a photo by every way, what it shows, the webcam, and its faults in sentences."""

import base64
import json
import shutil
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By

from browser import BROWSERS, DESK, PHONE, Browser, open_browser
from pictures import corners
from served import TOKEN, running, slope, sure_model, tiny_model, wait_until

pytestmark = pytest.mark.slow
RAN = "return document.body.dataset.version"
WAIT_S = 60  # for a browser beside other work

# What a page gets when a file is dropped, pasted or chosen, from base64.
GIVE = """
const [way, name, type, text] = arguments;
const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const file = new File([bytes], name, { type }), data = new DataTransfer();
data.items.add(file);
if (way === "choose" || way === "take") {
  const input = document.getElementById(way);
  input.files = data.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
} else if (way === "drop") {
  for (const kind of ["dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
} else {
  const paste = new ClipboardEvent("paste", { bubbles: true, cancelable: true });
  Object.defineProperty(paste, "clipboardData", { value: data }); // which Firefox does not take from a page
  document.body.dispatchEvent(paste);
}
"""


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    with open_browser(request.param) as opened:
        opened.resize(DESK)
        yield opened


def opened_at(browser: Browser, server: Any, rest: str = "") -> None:
    """Open the page, and wait until its script has asked the server for the models."""
    browser.get(f"http://localhost:{server.port}/{rest}")
    wait_until(lambda: text_of(browser, "#model") or text_of(browser, "#status"), WAIT_S)


def give(browser: Browser, content: bytes, way: str = "drop", name: str = "room.png", kind: str = "image/png") -> None:
    browser.execute_script(GIVE, way, name, kind, base64.b64encode(content).decode())


def text_of(browser: Browser, selector: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector)


def wait_for(browser: Browser, selector: str, words: str) -> None:
    end = time.monotonic() + WAIT_S
    while words not in (found := text_of(browser, selector)):
        assert time.monotonic() < end, f"{found!r} at {selector}; the status is {text_of(browser, '#status')!r}"
        time.sleep(0.05)


def faults(browser: Browser) -> list[str]:
    """What the browser complained of, such as a breach of the policy; answers with an error status are expected."""
    return [text for text in browser.said() if "the server responded with" not in text and "WebGL" not in text]


def encoded(image: np.ndarray, form: str = "PNG", **how: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, form, **how)
    return file.getvalue()


def hover(browser: Browser, x: float, y: float) -> str:
    """Point at a place of the picture, 0 to 1 across and down; return what the tip says."""
    return browser.execute_script(
        """
        const stage = document.querySelector('[data-part="stage"]'), box = stage.getBoundingClientRect();
        const at = { clientX: box.left + arguments[0] * box.width, clientY: box.top + arguments[1] * box.height };
        stage.dispatchEvent(new PointerEvent("pointermove", { ...at, bubbles: true, pointerType: "mouse" }));
        return document.querySelector('[data-part="tip"]').textContent;
        """,
        x,
        y,
    )


@pytest.mark.parametrize("way", ["choose", "take", "drop", "paste"])
def test_every_way_to_give_a_photo(browser: Browser, way: str) -> None:
    with running(sure_model()) as server:
        opened_at(browser, server)
        wait_for(browser, "#model", "sure")
        give(browser, encoded(corners(120, 200)), way, "<b>room</b>.png")
        wait_for(browser, '[data-part="title"]', "<b>room</b>.png")
        assert "2.00 m to 2.88 m" in text_of(browser, '[data-part="summary"]')
        assert not browser.find_elements(By.CSS_SELECTOR, "#look b b, h1 b")  # the name is text
        assert faults(browser) == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_depth_and_hover_agree_whichever_way_the_camera_was_held(browser: Browser, orientation: int) -> None:
    """Depth follows the red channel, so that hover tells which corner it is over: red is upper left when upright."""

    def by_red(rgb: np.ndarray) -> np.ndarray:
        return 1 + rgb[..., 0].astype(np.float32) / 255

    stored = Image.fromarray(corners(120, 200))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF -> the transposition that undoes it, by Pillow's numbers
    if orientation > 1:
        stored = stored.transpose(back[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    stored.save(file, "JPEG", exif=exif, quality=98)
    with running(tiny_model(predict=by_red)) as server:
        opened_at(browser, server)
        give(browser, file.getvalue(), name="held.jpg", kind="image/jpeg")
        wait_for(browser, '[data-part="title"]', "held.jpg")
        photo = browser.find_element(By.CSS_SELECTOR, '[data-part="photo"]')
        wait_until(lambda: photo.get_property("naturalWidth") == 200, WAIT_S)
        read = [hover(browser, x, y) for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))]
        assert [float(text.split()[0]) for text in read] == pytest.approx([2.0, 1.0, 1.0, 1 + 200 / 255], abs=0.05), (
            read
        )


def test_a_small_phone_and_a_dark_desk(browser: Browser) -> None:
    with running(sure_model()) as server:
        for size, scheme in ((PHONE, "light"), (DESK, "dark")):
            browser.resize(size)
            browser.use_scheme(scheme)
            opened_at(browser, server)
            give(browser, encoded(corners(120, 200)))
            wait_for(browser, '[data-part="title"]', "room.png")
            wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (size, wide)
        browser.use_scheme("light")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"<svg onload='alert(1)'/>", "SVG"), (b"", "has no bytes"), (b"\0\0\0\x18ftypisom", "video")],
)
def test_what_is_no_photo_is_said_in_a_sentence(browser: Browser, content: bytes, words: str) -> None:
    with running() as server:
        opened_at(browser, server)
        give(browser, content, name="x.jpg", kind="image/jpeg")
        wait_for(browser, "#status", words)
        assert text_of(browser, "#status").endswith(".")


def test_the_token_comes_behind_the_hash_or_by_hand(browser: Browser) -> None:
    with running(sure_model(), token=TOKEN) as server:
        browser.get("about:blank")
        opened_at(browser, server, f"#token={TOKEN}")
        wait_for(browser, "#model", "sure")
        assert browser.current_url == f"http://localhost:{server.port}/"  # it is no longer shown
        browser.execute_script("sessionStorage.clear()")
        opened_at(browser, server)
        wait_for(browser, "#status", "token")
        browser.find_element(By.ID, "token").send_keys(TOKEN)
        browser.find_element(By.CSS_SELECTOR, "#token-form button").click()
        wait_for(browser, "#model", "sure")
        give(browser, encoded(corners(120, 200)))
        wait_for(browser, '[data-part="title"]', "room.png")
        browser.execute_script("sessionStorage.clear()")


def test_the_webcam_is_shown_with_its_depth_one_picture_at_a_time(browser: Browser) -> None:
    most = [0, 0]

    def watched(rgb: np.ndarray) -> np.ndarray:
        most[0], most[1] = max(most[0], line.working + line.waiting), max(most[1], *rgb.shape[:2])
        return slope(rgb)

    with running(sure_model(), tiny_model("quick", watched)) as server:
        line = server.service.line
        opened_at(browser, server)
        wait_for(browser, "#model", "quick")
        browser.find_element(By.ID, "webcam").click()
        assert "keeps none of them" in " ".join(text_of(browser, "#consent").split())
        assert server.service.metrics.count == 0  # nothing is sent before the user agrees
        browser.find_element(By.ID, "start").click()
        wait_until(lambda: server.service.metrics.count >= 3, WAIT_S)
        wait_for(browser, "#range", "Depth: 2.00 to 2.88 m")
        wait_until(lambda: browser.find_element(By.ID, "depth").get_property("naturalWidth") == 384, WAIT_S)
        assert most == [1, 384]
        browser.find_element(By.ID, "freeze").click()
        wait_for(browser, '[data-part="title"]', "webcam.jpg")
        count = server.service.metrics.count
        assert not browser.execute_script("return document.getElementById('video').srcObject")
        browser.execute_async_script("setTimeout(arguments[0], 500)")
        assert server.service.metrics.count == count  # no picture is sent after the camera has stopped
        assert faults(browser) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "may not use the camera"),
        ("NotReadableError", "Another program uses the camera"),
        ("NotFoundError", "There is no camera here"),
        ("AbortError", "The camera does not start (AbortError)"),
        (None, "only to pages on localhost or with https"),
    ],
)
def test_a_camera_that_does_not_start(browser: Browser, name: str | None, words: str) -> None:
    refuse = f"async () => {{ throw new DOMException('raw', {json.dumps(name)}); }}"
    stub = (
        "Object.defineProperty(navigator, 'mediaDevices', { value: undefined, configurable: true })"
        if name is None
        else f"navigator.mediaDevices.getUserMedia = {refuse}"
    )
    with running(sure_model()) as server:
        opened_at(browser, server)
        browser.execute_script(stub)
        browser.find_element(By.ID, "webcam").click()
        browser.find_element(By.ID, "start").click()
        wait_for(browser, "#status", words)
        assert "photo" in text_of(browser, "#status") and "raw" not in text_of(browser, "#status")
        give(browser, encoded(corners(120, 200)))
        wait_for(browser, '[data-part="title"]', "room.png")


@pytest.mark.parametrize("name", BROWSERS)
def test_a_new_version_s_script_runs_on_its_page(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One browser profile, two versions of the page, one port."""
    from hqmd_cli.serving import page

    with open_browser(name, tmp_path / "profile") as browser:
        port = 0
        for version in ("first", "second"):
            folder = tmp_path / version
            shutil.copytree(page.FOLDER, folder)
            with (folder / "serve.js").open("a") as script:
                script.write(f"\ndocument.body.dataset.version = '{version}';")
            with monkeypatch.context() as patch:
                patch.setattr(page, "FOLDER", folder)
                with running(port=port) as server:
                    port = server.port
                    opened_at(browser, server)
                    wait_until(lambda: browser.execute_script(RAN), WAIT_S)
                    assert browser.execute_script(RAN) == version


def test_without_javascript_the_page_says_what_to_do(browser: Browser) -> None:
    with running() as server:
        browser.use_scripts(False)
        browser.get(f"http://localhost:{server.port}/")
        assert "curl -F" in browser.find_element(By.CSS_SELECTOR, "noscript").text
        browser.use_scripts(True)
