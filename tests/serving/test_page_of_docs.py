"""docs/serve.md: its lines run, beside a proxy that would catch them, and its tables are what the server does."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli.commands.serve import DEFAULT_MODELS
from hqmd_cli.files.limits import LARGEST_PIXELS
from hqmd_cli.serving.openapi import DEPTH_PROBLEMS, HEADERS
from hqmd_cli.serving.settings import DEFAULT_PORT, ServerSettings
from hqmd_cli.serving.wishes import MEDIA_TYPES, PARAMETERS, answer_for
from served import picture_bytes, running, slope, sure_model

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text("utf-8")
DEAD_PROXY = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "http_proxy")}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    httpx = pytest.importorskip("httpx")
    assert httpx
    (tmp_path / "photo.jpg").write_bytes(picture_bytes(24, 40, "JPEG"))
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^curl .*", PAGE, re.MULTILINE)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with running(sure_model()) as server:
        here = f"localhost:{server.port}"
        for line in lines:
            command = line.replace(f"localhost:{DEFAULT_PORT}", here).replace("curl ", "curl --noproxy localhost -sSf ")
            subprocess.run(["bash", "-c", command], check=True, env={**os.environ, **DEAD_PROXY}, timeout=60)
        for name, value in DEAD_PROXY.items():
            monkeypatch.setenv(name, value)
        names: dict = {}
        exec(block.replace(f"localhost:{DEFAULT_PORT}", here), names)
    expected = slope(np.empty((24, 40)))
    assert len(lines) == 2 and len(block.split("\n\n", 1)[1].splitlines()) == 3
    assert np.load("depth.npy") == pytest.approx(expected) and names["depth_m"] == pytest.approx(expected)
    with Image.open("depth.mm.png") as picture:
        assert np.asarray(picture) == pytest.approx(expected * 1000, abs=0.5)


def test_the_tables_are_what_the_server_does() -> None:
    for status in DEPTH_PROBLEMS:
        assert status == 406 or re.search(rf"^\| (\d+, )?{status}[, |]", PAGE, re.MULTILINE), status
    for media, name in re.findall(r"^\| `([\w/+.-]+)`.*?\| `(\w+)` \|", PAGE, re.MULTILINE)[1:]:
        assert MEDIA_TYPES[name] == media and answer_for(media) == name
    assert all(f"`{name}`" in PAGE for name in (*PARAMETERS, *DEFAULT_MODELS))
    assert set(re.findall(r"`(Hqmd-[\w-]+)`", PAGE)) <= set(HEADERS)
    usual = ServerSettings()
    for text in (
        f"more than {usual.most_bytes / 1e6:.0f} MB or {LARGEST_PIXELS / 1e6:.0f} megapixels",
        f"headers that take more than {usual.headers_s:.0f} s, or a photo that takes more than {usual.body_s:.0f} s",
        f"may take {usual.most_bytes_together / 1e6:.0f} MB",
        "eight photos wait already",
    ):
        assert text in PAGE.replace("\n", " "), text
    assert usual.waiting == 8
