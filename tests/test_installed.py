"""The one command that installs what is missing fits the way in which hqmd was installed."""

import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from hqmd_cli import installed
from hqmd_cli.errors import HqmdError
from hqmd_cli.installed import EXTRAS, FULL, LIGHT, how_to_install, source_of

ROOT = Path(__file__).parents[1]
HERE = Path(installed.__file__).parents[1]  # where the package was imported from: this clone, or an environment
METADATA = """Metadata-Version: 2.4
Name: {name}
Version: 1.2
Requires-Dist: numpy>=1.26
Requires-Dist: transformers>=5.0; extra == 'hub'
Requires-Dist: torch>=2.6; extra == 'hub'
Requires-Dist: scipy>=1.11; extra == 'fill'
"""


def distribution(folder: Path, origin: dict | None, name: str = FULL) -> PathDistribution:
    """Write the metadata of an installed distribution, with the origin that pip records."""
    place = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(METADATA.format(name=name))
    if origin is not None:
        (place / "direct_url.json").write_text(json.dumps(origin))
    return PathDistribution(place)


def from_folder(folder: Path, **about: object) -> dict:
    return {"url": folder.as_uri(), "dir_info": about}


def test_from_a_clone_the_clone_is_named(tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    assert source_of(distribution(tmp_path, from_folder(clone)), "hub") == [f"{clone}[hub]"]


def test_from_an_editable_clone_it_stays_editable(tmp_path: Path) -> None:
    assert source_of(distribution(tmp_path, from_folder(tmp_path, editable=True)), "hub") == ["-e", f"{tmp_path}[hub]"]


def test_from_a_clone_that_is_gone_the_packages_are_named(tmp_path: Path) -> None:
    gone = distribution(tmp_path, from_folder(tmp_path / "gone"))
    assert source_of(gone, "hub") == ["transformers>=5.0", "torch>=2.6"]


@pytest.mark.parametrize("name", [FULL, LIGHT])
def test_from_an_index_its_name_is_given(tmp_path: Path, name: str) -> None:
    assert source_of(distribution(tmp_path, None, name), "hub") == [f"{name}[hub]"]
    assert source_of(PathDistribution(tmp_path / f"{name.replace('-', '_')}-1.2.dist-info")) == [name]


def test_from_a_repository_its_commit_is_given(tmp_path: Path) -> None:
    origin = {"url": "https://host/hqmd.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    assert source_of(distribution(tmp_path, origin), "hub") == ["hqmd[hub] @ git+https://host/hqmd.git@abc"]


def test_from_a_wheel_elsewhere_its_address_is_given(tmp_path: Path) -> None:
    origin = {"url": "https://host/hqmd_light-1.2.whl", "archive_info": {}}
    found = distribution(tmp_path, origin, LIGHT)
    assert source_of(found, "hub") == ["hqmd-light[hub] @ https://host/hqmd_light-1.2.whl"]


def test_the_command_survives_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "it's mine"
    clone.mkdir()
    found = distribution(tmp_path, from_folder(clone))
    monkeypatch.setattr(installed, "distribution", {FULL: found}.get)
    assert shlex.split(how_to_install("transformers")) == ["pip", "install", f"{clone}[hub]"]
    assert how_to_install("pillow-heif") == "pip install pillow-heif"
    monkeypatch.setattr(installed, "distribution", {}.get)
    assert shlex.split(how_to_install("transformers")) == ["pip", "install", f"{HERE}[hub]"]


def test_light_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "distribution", {LIGHT: distribution(tmp_path, None, LIGHT)}.get)
    assert how_to_install("torch") == "pip install 'hqmd-light[torch]'"


def test_a_missing_package_is_one_line(tmp_path: Path) -> None:
    """Whatever imports it: here, a command that needs torch in an environment without it."""
    code = "import sys; sys.modules['torch'] = None; from hqmd_cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "train"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"hqmd: hqmd train needs torch; {how_to_install('torch')}\n"


def test_an_import_that_is_a_bug_stays_one() -> None:
    assert installed.explain_missing(ModuleNotFoundError("no", name="hqmd_cli.nothing")) is None
    with pytest.raises(HqmdError, match="a picture needs nonesuch; pip install nonesuch"):
        installed.require("nonesuch", "a picture")


def test_nothing_else_says_how_to_install() -> None:
    """A second place that writes such a command would know neither the clone nor hqmd-light."""
    literal = re.compile(r"pip install")
    said = [path.name for path in (ROOT / "hqmd_cli").rglob("*.py") if literal.search(path.read_text("utf-8"))]
    assert said == ["installed.py"]


def test_every_extra_exists() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])
