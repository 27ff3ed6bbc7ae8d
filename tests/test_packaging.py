"""Conda recipe, citation, changelog, licences and workflows, as needed to publish, agree with the package."""

import re
import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hqmd_cli import __version__
from hqmd_cli.checkpoints.card import WEIGHTS_LICENCE
from hqmd_cli.checkpoints.hub import bundled_models
from hqmd_cli.installed import EXTRAS

yaml = pytest.importorskip("yaml", reason="comes with huggingface-hub")
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Names on conda-forge, where they differ. OpenCV's comes with the metadata of opencv-python, which `pip check` reads.
CONDA = {
    "torch": "pytorch",
    "huggingface-hub": "huggingface_hub",
    "opencv-python": "py-opencv",
    "opencv-python-headless": "py-opencv",
    "isal": "python-isal",
    "matplotlib": "matplotlib-base",
}


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


def test_every_requirement_of_the_wheel_is_a_named_conda_package() -> None:
    recipe = read("packaging/conda/recipe.yaml")
    run = dict(line.split(" ", 1) for line in recipe["requirements"]["run"])
    wanted = dict(re.match(r"([\w-]+)(.*)", line).groups() for line in PROJECT["dependencies"])
    wanted = {CONDA.get(name, name): version for name, version in wanted.items()}
    bounds = {name: set(version.split(",")) for name, version in wanted.items()}
    assert {name: set(version.split(",")) for name, version in run.items() if name != "python"} == bounds
    assert recipe["context"]["version"] == __version__
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]
    assert recipe["tests"][0]["python"]["pip_check"] is True
    assert recipe["about"]["license"] == PROJECT["license"]


def test_every_requirement_of_light_is_a_conda_package_of_the_recipe() -> None:
    """So conda's hqmd can stand for hqmd-light; its OpenCV needs no other name."""
    light = runpy.run_path(str(ROOT / "packaging" / "light" / "hatch_build.py"))
    run = {line.split(" ", 1)[0] for line in read("packaging/conda/recipe.yaml")["requirements"]["run"]}
    names = [light["package_of"](line) for line in light["light"](PROJECT, EXTRAS)["dependencies"]]
    assert names and {CONDA.get(name, name) for name in names} <= run


def test_the_recipe_renders() -> None:
    rattler = pytest.importorskip("rattler_build", reason="py-rattler-build is not installed")
    recipe = rattler.Stage0Recipe.from_file(str(ROOT / "packaging" / "conda" / "recipe.yaml"))
    (variant,) = recipe.render(rattler.VariantConfig())
    assert (variant.recipe.package.name, str(variant.recipe.package.version)) == ("hqmd", __version__)


def test_the_citation_says_of_the_paper_what_its_text_says() -> None:
    """Its text names neither venue nor year."""
    (paper,) = read("CITATION.cff")["references"]
    assert set(paper) == {"type", "title", "authors", "repository-code"}


def test_the_citation_names_the_paper_and_this_version() -> None:
    citation = read("CITATION.cff")
    (paper,) = citation["references"]
    assert citation["version"] == __version__ and citation["type"] == "software"
    assert [author["family-names"] for author in paper["authors"]] == ["Jiang", "Huang"]
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert paper["title"].lower() in readme.lower()


def test_the_changelog_is_one_and_keeps_its_form() -> None:
    assert not (ROOT / "docs" / "changelog.md").exists()
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    kinds = re.findall(r"^### (\w+)", text, re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[0] == "[Unreleased]"
    assert text.index("### Changed: metres") < text.index("### Added")


@pytest.mark.parametrize("page", ["CHANGELOG.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md", "docs/install.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    inner = [target for target in targets if target and "://" not in target]
    assert inner and [target for target in inner if not ((ROOT / page).parent / target).exists()] == []


def test_code_and_weights_have_licences_of_their_own() -> None:
    assert PROJECT["license"] == "Apache-2.0 AND LicenseRef-hqmd-weights"
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])
    for name in bundled_models():
        card = (ROOT / "weights" / name / "README.md").read_text("utf-8")
        assert WEIGHTS_LICENCE in card and "\nlicense: other\n" in card


@pytest.mark.parametrize("page", ["README.md", "packaging/light/README.md"])
def test_readmes_tell_the_two_licences_apart(page: str) -> None:
    text = " ".join((ROOT / page).read_text("utf-8").split())
    assert "Code: Apache-2.0." in text and re.search(r"weights .*trained on .*research.*weights/LICENSE\.md", text)


def test_the_list_of_models_tells_them_apart(hqmd: Callable) -> None:
    assert WEIGHTS_LICENCE in " ".join(re.sub(r"[^\w .;,'-]", " ", hqmd("models").stdout).split())


def test_the_docs_say_what_another_package_should_depend_on() -> None:
    text = " ".join((ROOT / "docs" / "install.md").read_text("utf-8").split())
    assert "let it depend on `hqmd-light`, and if it trains, on `hqmd`" in text


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_have_no_rights_and_pin_what_they_use(path: Path) -> None:
    """actionlint and zizmor find more; this holds where they are not installed."""
    text = path.read_text("utf-8")
    assert yaml.safe_load(text)["permissions"] == {}
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name) and comment for name, comment in used)
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    jobs = yaml.safe_load(text)["jobs"]
    assert all("timeout-minutes" in job and "permissions" in job for job in jobs.values())


def test_only_publishing_may_ask_for_a_token() -> None:
    (publish,) = [path for path in (ROOT / ".github" / "workflows").glob("*.yml") if "id-token" in path.read_text()]
    jobs = read(f".github/workflows/{publish.name}")["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"} and jobs["publish"]["environment"] == "pypi"
    assert jobs["publish"]["needs"] == "build"
