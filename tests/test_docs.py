"""The documentation as a whole: what it names exists, pictures are there, and its site is built without a warning."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from docs_pages import FOLLOWED, PAGES, README, ROOT, shell_lines
from hqmd_cli.app import build_app
from hqmd_cli.data.depth_unit import find_depth_scale
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocols import PROTOCOLS
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.visualization import COLORMAPS

DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
MOST_BYTES_OF_PICTURES = 1_000_000
OTHERS_OPTIONS = {"--help", "--user", "--fit", "--noproxy"}  # also Docker's, curl's, and of a script in benchmarks/
QUESTIONS = 30  # of the research into what users of depth tools ask
# Outputs that are shown by one picture: they hold the same numbers.
NUMBERS = ("npy", "tiff", "npz", "exr")
SHOWN_BY = dict.fromkeys(NUMBERS, "numbers") | {"uncertainty-npy": "uncertainty"}
# Builds in a process without network: whatever connects is an error.
BUILD_WITHOUT_NETWORK = """
import socket, sys
def refuse(*words): raise OSError("the build asked for the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from sphinx.cmd.build import main
sys.exit(main(sys.argv[1:]))
"""


def commands() -> dict[str, set[str]]:
    """Map each command, such as "data nyu", to its options."""
    found: dict[str, set[str]] = {}
    waiting = [("", get_command(build_app()))]
    while waiting:
        path, command = waiting.pop()
        names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        found[path] = {name for name in names if name.startswith("-")}
        waiting += [(f"{path} {name}".strip(), inner) for name, inner in getattr(command, "commands", {}).items()]
    return found


def unknown_in(code: str, known: dict[str, set[str]]) -> list[str]:
    """Name a command or options in a line of code that hqmd does not have; of other programs' lines, nothing."""
    words = code.split()
    if words[:1] != ["hqmd"]:
        options, allowed = words if words[0].startswith("--") else [], OTHERS_OPTIONS.union(*known.values())
    else:
        named = [word for word in words[1:3] if re.fullmatch("[a-z-]+", word) and not word.startswith("-")]
        command = next((path for path in (" ".join(named), *named[:1], "") if path in known), "")
        if named and (command == "" or (command == "data" and len(named) > 1)):
            return [code]
        options, allowed = words, known[command] | {"--help"}
    return [code for word in options if re.fullmatch(r"--[a-z][\w-]*", word) and word not in allowed]


def test_commands_and_options_that_the_pages_name_exist() -> None:
    known = commands()
    assert unknown_in("hqmd predict --colour x", known) and unknown_in("hqmd data pairs", known)
    told = [(page, text) for page, text in (("README", README), *PAGES.items()) if page != "notebook"]  # of the past
    quoted = [(page, code) for page, text in told for code in re.findall(r"`([^`\s][^`\n]*)`", text)]
    quoted += [(line.page, line.text) for line in shell_lines()]
    assert len(quoted) > 500
    assert [(page, code) for page, code in quoted if unknown_in(code, known)] == []


def test_pictures_are_small_and_each_is_shown() -> None:
    files = sorted(PICTURES.iterdir())
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES_OF_PICTURES
    shown = set(re.findall(r"!\[[^\]]+\]\(pictures/([^)]+)\)", "\n".join(PAGES.values())))
    assert shown == {file.name for file in files}
    assert all(Image.open(file).width <= 640 for file in files)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("predict", [SHOWN_BY.get(name, name) for name in OUTPUTS]),
        ("predict", [f"colormap-{name}" for name in COLORMAPS]),
        ("protocols", [f"crop-{name}" for name in PROTOCOLS]),
        ("own_data", ["wrong-data"]),
    ],
    ids=["outputs", "colormaps", "protocols", "wrong data"],
)
def test_what_is_better_seen_is_shown(page: str, names: list[str]) -> None:
    missing = [name for name in names if f"(pictures/{name}.jpg)" not in PAGES[page]]
    assert not missing, (
        f"docs/{page}.md should show, and docs/draw_pictures.py draw (or you, of a page), {', '.join(missing)}"
    )


def test_the_faq_answers_each_question_in_two_sentences() -> None:
    pattern = r"^### ([^\n]+\?|[^\n]+\? [^\n]+\?)\n\n(.+?)(?=\n\n#|\Z)"
    asked = re.findall(pattern, PAGES["faq"], re.MULTILINE | re.DOTALL)
    assert len(asked) == PAGES["faq"].count("\n### ") == QUESTIONS
    for question, answer in asked:
        plain = re.sub(r"`[^`]*`|\]\([^)]*\)", "", answer)
        assert len(re.findall(r"\.(?=\s|\)|$)", plain)) == 2, f"{question}\n{answer}"


def test_the_error_of_wrong_data_is_what_hqmd_says(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```text\nhqmd: pairs/depth: (.*?)```", PAGES["own_data"], re.DOTALL)
    Image.fromarray(np.full((4, 4), 988, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(HqmdError) as refused:
        find_depth_scale([tmp_path / "a.png"], None)
    assert " ".join(shown.split()) == str(refused.value).removeprefix(f"{tmp_path}: ")


class Page(HTMLParser):
    """The ids, links and texts of a built page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []  # a, img, script, link
        self.loaded: list[str] = []  # those that a browser fetches by itself
        self.without_text: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {name for key in ("id", "name") if (name := given.get(key))}
        target = given.get("href") if tag in ("a", "link") else given.get("src")
        if target and given.get("rel") != "canonical":
            self.links.append(target)
            self.loaded += [target] if tag != "a" else []
        if tag == "img" and not given.get("alt"):
            self.without_text.append(target or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors and without network."""
    if find_spec("sphinx") is None:
        pytest.skip("the extra docs is not installed")
    out = tmp_path_factory.mktemp("site")
    words = ["-q", "-W", "--keep-going", "-d", str(out / "trees"), "-c", str(DOCS), str(ROOT), str(out / "html")]
    command = [sys.executable, "-c", BUILD_WITHOUT_NETWORK, *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return out / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """What each page of the site holds."""
    return {path: Page(path) for path in site.rglob("*.html")}


def dead_links(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Name each link within the site that leads nowhere."""
    top, by_path = site.resolve(), {path.resolve(): page for path, page in pages.items()}
    for path, page in by_path.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.is_file() and target.is_relative_to(top)
            if there and parts.fragment and target in by_path:
                there = unquote(parts.fragment) in by_path[target].ids
            if not there:
                yield f"{path.relative_to(top)}: {link}"


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="x"><a href="b.html#y"><a href="#x"><img src="c.png"><a href="b.html#no">')
    (tmp_path / "b.html").write_text('<p id="y"><a href="a.html"><a href="../out.html"><a href="https://example.org/">')
    pages = {path: Page(path) for path in sorted(tmp_path.iterdir())}
    assert [*dead_links(tmp_path, pages)] == ["a.html: c.png", "a.html: b.html#no", "b.html: ../out.html"]


@pytest.mark.slow
def test_no_link_within_the_site_is_dead(site: Path, pages: dict[Path, Page]) -> None:
    for name in (*PAGES, FOLLOWED):
        assert site / "docs" / f"{name}.html" in pages
    assert site / "README.html" in pages and sum(len(page.links) for page in pages.values()) > 1000
    assert list(dead_links(site, pages)) == []


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(pages: dict[Path, Page]) -> None:
    loaded = {link for page in pages.values() for link in page.loaded}
    assert loaded and [link for link in loaded if urlsplit(link).netloc] == []
    assert [text for page in pages.values() for text in page.without_text] == []


@pytest.mark.slow
def test_the_python_pages_are_not_empty(site: Path, pages: dict[Path, Page]) -> None:
    named = set(re.findall(r":: (hqmd_cli\.[\w.]+)", PAGES["api"]))
    assert len(named) >= 5 and named <= pages[site / "docs" / "api.html"].ids
    html = (site / "docs" / "api.html").read_text("utf-8")
    for name in named:
        entry = html[html.index(f'id="{name}"') :]
        told = re.sub(r"<[^>]+>", " ", entry[entry.index("<dd>") : entry.index("</dd>")])
        assert len(told.split()) >= 8, f"{name} has no docstring worth reading"
    assert all(word in html for word in ("depth_m", "NamedTuple", "depth_range_m"))  # fields, from the code


@pytest.mark.slow
def test_the_page_of_commands_has_every_option(site: Path) -> None:
    html = (site / "docs" / "commands.html").read_text("utf-8")
    for command, options in commands().items():
        if command not in ("", "data"):
            assert f'id="hqmd-{command.replace(" ", "-")}"' in html
        assert [option for option in options if option not in html] == []
