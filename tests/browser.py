"""A real browser without a window, for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver import ChromeOptions, ChromeService

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PHONE, DESK = (360, 740), (1280, 900)
Browser = webdriver.Chrome

needs_browser = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no browser here; apt-get install chromium chromium-driver brings one"
)


@contextmanager
def open_browser(*flags: str) -> Iterator[Browser]:
    """Open a browser that is closed at the end, and that keeps what pages write to its console."""
    options = ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--disable-dev-shm-usage", "--force-prefers-reduced-motion", *flags):
        options.add_argument(flag)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which Chromium asks of root
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, ChromeService(DRIVER))
    try:
        yield browser
    finally:
        browser.quit()


def resize(browser: Browser, size: tuple[int, int]) -> None:
    """Give the page a size in CSS pixels; PHONE has a touch screen, too."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": size == PHONE})
