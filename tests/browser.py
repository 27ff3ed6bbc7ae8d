"""Real browsers without a window, for tests of pages: Chromium, and Firefox where it is installed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from selenium import webdriver
from selenium.webdriver import ChromeOptions, ChromeService

from firefox import CAMERA, FIREFOX, PREFERENCES, PRIVATE, Firefox

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PHONE, DESK = (360, 740), (1280, 900)


class Chromium(webdriver.Chrome):
    """Chromium, with what tests of pages need beside WebDriver."""

    first = ""

    def resize(self, size: tuple[int, int]) -> None:
        """Give the page a size in CSS pixels; PHONE has a touch screen, too."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": size == PHONE})

    def save_to(self, folder: Path) -> None:
        """Let downloads go into a folder."""
        self.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})

    def said(self) -> list[str]:
        """Return what pages wrote to the console, and forget it."""
        return [entry["message"] for entry in self.get_log("browser")]

    def use_scripts(self, allowed: bool) -> None:
        """Let pages run scripts, or not."""
        self.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not allowed})

    def use_scheme(self, scheme: str) -> None:
        """Prefer "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def run_first(self, script: str) -> None:
        """Run a script in each page before its own; an empty one ends that."""
        if self.first:
            self.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": self.first})
        source = {"source": script}
        self.first = script and self.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)["identifier"]


Browser = Chromium | Firefox
needs_chromium = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no Chromium here; apt-get install chromium chromium-driver brings it"
)
needs_firefox = pytest.mark.skipif(not FIREFOX, reason="no Firefox here; apt-get install firefox-esr brings it")
IN_FIREFOX = (needs_firefox, pytest.mark.long)  # as long again as in Chromium
BROWSERS = [pytest.param("chromium", marks=needs_chromium), pytest.param("firefox", marks=IN_FIREFOX)]
PRIVATE_FIREFOX = pytest.param("private firefox", marks=IN_FIREFOX)  # which adds noise to pixels that pages read


@contextmanager
def open_browser(name: str = "chromium", profile: Path | None = None) -> Iterator[Browser]:
    """Open a browser of BROWSERS, with WebGL and a camera that is none; it is closed at the end."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = open_chromium(profile) if name == "chromium" else open_firefox(name, profile or Path(folder))
        try:
            yield browser
        finally:
            browser.quit()


def open_chromium(profile: Path | None) -> Chromium:
    """Open Chromium, which keeps what pages write to its console."""
    options = ChromeOptions()
    options.binary_location = BROWSER
    flags = ["--headless=new", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"]
    flags += ["--enable-unsafe-swiftshader"]  # WebGL without a graphics card
    flags += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    if profile:
        flags.append(f"--user-data-dir={profile}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")  # which Chromium asks of root
    for flag in flags:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chromium(options, ChromeService(DRIVER))


def open_firefox(name: str, profile: Path) -> Firefox:
    """Open Firefox."""
    return Firefox(profile, **PREFERENCES, **CAMERA, **(PRIVATE if name.startswith("private") else {}))
