"""The report in a real browser, at the width of a phone and of a desk: it fits, is quiet, slides, sorts and opens."""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from browser import DESK, PHONE, Browser, needs_chromium, open_browser
from hqmd_cli.evaluation.metrics.registry import MAIN_METRICS
from hqmd_cli.files.atomic import write_pieces
from hqmd_cli.reporting.html.page import page
from hqmd_cli.reporting.html.picture_choice import anchors, choose
from scenes import JUDGED, NAMES, REPORT

pytestmark = [pytest.mark.slow, needs_chromium]
UNDRAWN = "return [...document.images].filter((image) => !image.naturalWidth).length"
SHOWN_SOURCE = "return arguments[0].querySelector('img.' + arguments[1]).src"
KEPT_SOURCE = "return arguments[0].querySelectorAll('img[data-layer]')[arguments[1]].src"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report of a test") / "report.html"
    write_pieces(path, page(REPORT))
    return path.as_uri()


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def opened(request: pytest.FixtureRequest, browser: Browser, address: str) -> Callable[..., Browser]:
    """`opened("#NAME")` is the browser with the page, opened there, at one of both widths."""
    browser.resize(request.param)

    def go(fragment: str = "") -> Browser:
        browser.get("about:blank")  # a step to another fragment would not load the page anew
        browser.said()
        browser.get(address + fragment)
        return browser

    return go


def find(browser: Browser | WebElement, css: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, css)


def texts(browser: Browser, css: str) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", css)


def seen(element: WebElement) -> bytes:
    """A screenshot of it."""
    return element.screenshot_as_png


def until(browser: Browser, holds: Callable[[Browser], object]) -> None:
    WebDriverWait(browser, 5, poll_frequency=0.02).until(holds)


def shown_in_dialog(browser: Browser) -> str | None:
    return browser.execute_script(
        "const dialog = document.querySelector('dialog');"
        "return dialog.open ? dialog.querySelector('article').dataset.name : null"
    )


def at(browser: Browser) -> float:
    """Where the first slider's line stands, percent."""
    return float(browser.execute_script("return document.querySelector('.stage').style.getPropertyValue('--at')")[:-1])


def names_in_table(browser: Browser) -> list[str]:
    return texts(browser, "table.every tbody th")


def test_it_fits_is_quiet_and_loads_nothing(opened: Callable[..., Browser]) -> None:
    for fragment in ("", "#" + quote("plain")):
        browser = opened(fragment)
        wide, inner = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= inner
        dialog = browser.execute_script(
            "const d = document.querySelector('dialog'); return [d.scrollWidth, d.clientWidth]"
        )
        assert dialog[0] <= dialog[1]
        assert browser.said() == []
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert [name for name in loaded if not name.startswith("data:")] == []
        until(browser, lambda browser: browser.execute_script(UNDRAWN) == 0)


def test_the_slider_follows_the_mouse_and_the_keys(opened: Callable[..., Browser]) -> None:
    browser = opened()
    stage = find(browser, ".stage")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    before, width = seen(stage), stage.size["width"]
    ActionChains(browser, 20).drag_and_drop_by_offset(find(stage, "input"), -width // 4, 0).perform()
    assert at(browser) == pytest.approx(25, abs=2)
    dragged = seen(stage)
    assert dragged != before
    slider = find(stage, "input")
    assert (
        slider.get_attribute("aria-valuetext")
        == f"{at(browser):g} % truth, {100 - at(browser):g} % {next(iter(JUDGED))}"
    )
    slider.send_keys(Keys.END)
    assert at(browser) == 100 and seen(stage) != dragged
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    assert at(browser) == 1
    line = browser.execute_script("return document.querySelector('.line').getBoundingClientRect().x")
    assert line == pytest.approx(stage.rect["x"] + stage.rect["width"] / 100, abs=1.5)


def test_the_slider_follows_a_finger(opened: Callable[..., Browser]) -> None:
    browser = opened()
    stage = find(browser, ".stage")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    left, top, width, height = browser.execute_script(
        "const box = arguments[0].getBoundingClientRect(); return [box.x, box.y, box.width, box.height]", stage
    )
    for kind, share in (("touchStart", 0.5), ("touchMove", 0.6), ("touchMove", 0.75), ("touchEnd", None)):
        points = [] if share is None else [{"x": left + share * width, "y": top + height / 2}]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    until(browser, lambda browser: abs(at(browser) - 75) < 6)  # a finger's first steps are not counted


def test_either_side_shows_what_is_chosen(opened: Callable[..., Browser]) -> None:
    browser = opened()
    article = find(browser, "article")
    models = [layer for model in JUDGED for layer in (model, f"error of {model}")]
    for side in ("left", "right"):
        select = Select(find(article, f"select.{side}"))
        assert [option.text for option in select.options] == ["photo", "truth", *models]  # a model is called photo, too
        looks = set()
        for i in range(2 + len(models)):
            select.select_by_index(i)
            assert browser.execute_script(SHOWN_SOURCE, article, side) == browser.execute_script(
                KEPT_SOURCE, article, i
            )
            looks.add(seen(find(article, ".stage")))
        assert len(looks) == 2 + len(models)


def test_a_row_opens_its_picture_and_escape_closes_it(opened: Callable[..., Browser]) -> None:
    browser = opened()
    for i in (0, 3, len(NAMES) - 1):
        row = browser.find_elements(By.CSS_SELECTOR, "table.every tbody tr")[i]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", row)
        find(row, "td").click()
        until(browser, lambda browser, i=i: shown_in_dialog(browser) == NAMES[i])
        assert browser.current_url.endswith("#" + quote(anchors(NAMES, ["-figures"])[i], safe=""))
        assert find(browser, "dialog .stage").is_displayed()
        ActionChains(browser).send_keys(Keys.ESCAPE).perform()
        until(browser, lambda browser: shown_in_dialog(browser) is None)
        until(browser, lambda browser: browser.current_url.endswith("#"))
        assert browser.switch_to.active_element.text == NAMES[i]
        browser.switch_to.active_element.send_keys(Keys.ENTER)  # a link, so the keyboard opens it as well
        until(browser, lambda browser, i=i: shown_in_dialog(browser) == NAMES[i])
        find(browser, "dialog .close").click()
        until(browser, lambda browser: shown_in_dialog(browser) is None)


@pytest.mark.parametrize("name", NAMES)
def test_an_address_opens_its_picture(browser: Browser, address: str, name: str) -> None:
    anchor = dict(zip(NAMES, anchors(NAMES, ["-figures"]), strict=True))[name]
    browser.get("about:blank")
    browser.get(f"{address}#{quote(anchor, safe='')}")
    assert shown_in_dialog(browser) == name
    assert find(browser, "dialog h3 a").text == name


def test_addresses_that_are_no_picture(opened: Callable[..., Browser]) -> None:
    for fragment in ("#nobody", "#%", "#-all", "#%E0%A4%A"):
        browser = opened(fragment)
        assert shown_in_dialog(browser) is None and browser.said() == []


def test_heads_sort_either_way(opened: Callable[..., Browser]) -> None:
    browser = opened()
    figures = next(iter(REPORT.results.values())).per_picture["RMSE"]
    column = 1 + list(MAIN_METRICS).index("RMSE")

    def head(i: int) -> WebElement:
        return browser.find_elements(By.CSS_SELECTOR, "table.every thead th")[i]

    for direction, order in (("ascending", figures), ("descending", -figures)):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", head(column))
        find(head(column), "button").send_keys(Keys.ENTER)
        assert names_in_table(browser) == [NAMES[i] for i in np.argsort(np.round(order, 4), kind="stable")]
        assert head(column).get_attribute("aria-sort") == direction
        assert len(browser.find_elements(By.CSS_SELECTOR, "table.every [aria-sort]")) == 1
    find(head(0), "button").click()
    names = names_in_table(browser)
    assert sorted(names) == sorted(NAMES) and names.index("50% off") < names.index("plain")


def test_next_and_previous_follow_the_table(opened: Callable[..., Browser]) -> None:
    browser = opened()
    heads = browser.find_elements(By.CSS_SELECTOR, "table.every thead button")
    heads[1].send_keys(Keys.ENTER)
    first, second, third = names_in_table(browser)[:3]
    find(browser, "table.every tbody a").send_keys(Keys.ENTER)
    until(browser, lambda browser: shown_in_dialog(browser) == first)
    assert not find(browser, "dialog .before").is_enabled()
    find(browser, "dialog .after").click()
    until(browser, lambda browser: shown_in_dialog(browser) == second)
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
    until(browser, lambda browser: shown_in_dialog(browser) == third)
    find(browser, "dialog input").send_keys(Keys.ARROW_LEFT)  # moves the slider, not to another picture
    assert find(browser, "dialog input").get_attribute("value") == "49" and shown_in_dialog(browser) == third
    find(browser, "dialog .close").send_keys(Keys.ARROW_LEFT)
    until(browser, lambda browser: shown_in_dialog(browser) == second)


def test_the_table_shows_any_model_and_any_metric(opened: Callable[..., Browser]) -> None:
    browser = opened()
    select = Select(find(browser, "select.view"))
    assert [option.text for option in select.options] == [*JUDGED, *MAIN_METRICS]
    model = list(JUDGED)[1]
    select.select_by_index(1)
    row = texts(browser, "table.every tbody tr:first-child > *")
    assert row[1:] == [f"{REPORT.results[model].per_picture[metric][0]:.4f}" for metric in MAIN_METRICS]
    select.select_by_index(2 + list(MAIN_METRICS).index("delta1"))
    assert texts(browser, "table.every thead th")[1:] == [f"{name}: delta1 ↑" for name in JUDGED]
    row = texts(browser, "table.every tbody tr:last-child > *")
    assert row[1:] == [f"{result.per_picture['delta1'][-1]:.4f}" for result in REPORT.results.values()]


def test_the_scheme_of_the_system_is_followed(opened: Callable[..., Browser]) -> None:
    browser = opened()
    shades = {}
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        shades[scheme] = int(colour.removeprefix("rgb(").split(",")[0])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert shades["light"] > 200 and shades["dark"] < 60


def test_without_scripts_the_chosen_pictures_and_all_figures_are_there(opened: Callable[..., Browser]) -> None:
    browser = opened()
    browser.use_scripts(False)
    try:
        browser = opened()
        highlights = [NAMES[i] for i in choose(REPORT.results, 100).highlights]
        assert texts(browser, "main article h3 a") == highlights
        assert names_in_table(browser) == NAMES
        assert not find(browser, ".wipe").is_displayed()
        assert find(browser, ".sheet img").is_displayed()
    finally:
        browser.use_scripts(True)
