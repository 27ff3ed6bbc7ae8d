"""The folder that hqmd keeps things in."""

from pathlib import Path

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.home import hqmd_home


def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.delenv("HQMD_HOME", raising=False)
    with pytest.raises(HqmdError, match="set HQMD_HOME"):
        hqmd_home()
    monkeypatch.setenv("HQMD_HOME", str(tmp_path))
    assert hqmd_home() == tmp_path
