"""A hub that does not answer is given up after seconds, and what hqmd waits for is said."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import pytest

import hqmd_cli
from hqmd_cli.files.hub_client import GIVE_UP_S, REQUEST_S, HubSilent, Patience, hub_is_silent, patient_hub
from hqmd_cli.files.waiting import word_after


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[Any] = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept())
                except OSError:
                    return

        Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


QUICKLY = """
import hqmd_cli.files.hub_client as client
client.REQUEST_S, client.ASKED_S, client.GIVE_UP_S = 2, 1, 0.5
"""


def run(code: str, endpoint: str, home: Path) -> tuple[str, float]:
    """The output of a process that waits less than hqmd does, and its seconds after its imports."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    env |= {"PYTHONPATH": str(Path(hqmd_cli.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", QUICKLY + code], env=env, cwd=home, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    seconds, said = done.stdout.strip().split(" ", 1)
    return said, float(seconds)


LOOK_UP = """
from time import monotonic
from hqmd_cli.errors import HqmdError
from hqmd_cli.checkpoints.hub import find_checkpoint
import huggingface_hub, hqmd_cli.checkpoints.hub_download
began = monotonic()
try:
    find_checkpoint("org/name")
except HqmdError as error:
    print(round(monotonic() - began, 1), error)
"""

BACKBONE = """
from time import monotonic
from hqmd_cli.errors import HqmdError
from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.backbone import build_backbone
import huggingface_hub
began = monotonic()
try:
    build_backbone(NetworkConfig(backbone="mobilenetv3_small_050"), "default")
except HqmdError as error:
    print(round(monotonic() - began, 1), error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param(
            LOOK_UP,
            "org/name: no such folder here, and the Hugging Face hub cannot be reached: http://127.0.0.1:",
            id="model",
        ),
        pytest.param(
            BACKBONE, "mobilenetv3_small_050: pretrained weights cannot be had: ", marks=pytest.mark.long, id="backbone"
        ),
    ],
)
def test_a_silent_hub_is_given_up(code: str, said: str, silent_server: str, tmp_path: Path) -> None:
    message, seconds = run(code, silent_server, tmp_path)
    assert message.startswith(said) and seconds < 4 * REQUEST_S  # the import of torch among them, on a busy machine


@pytest.mark.slow
def test_where_nobody_listens_it_ends_as_soon(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    message, seconds = run(BACKBONE, f"http://127.0.0.1:{port}", tmp_path)
    assert "pass --backbone-weights FILE" in message and seconds < GIVE_UP_S + 8


def test_a_request_after_unanswered_ones_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("hqmd_cli.files.hub_client.monotonic", lambda: now[0])
    patience = Patience()
    url, extensions = SimpleNamespace(host="hub"), {"timeout": None, "trace": 1}
    request, other = (SimpleNamespace(method=method, url=url, extensions=extensions) for method in ("GET", "HEAD"))
    patience.request(request)
    assert request.extensions["timeout"]["read"] == REQUEST_S and request.extensions["trace"] == 1
    now[0] = GIVE_UP_S - 0.1
    patience.request(request)
    patience.response(SimpleNamespace(request=request))
    now[0] = 100.0
    patience.request(request)  # the hub answered in between, so this is the first
    now[0] += GIVE_UP_S + 0.1
    patience.request(other)
    with pytest.raises(HubSilent, match="hub does not answer"):
        patience.request(request)


def test_the_clients_own_settings_are_restored() -> None:
    _http = pytest.importorskip("huggingface_hub.utils._http")
    before = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None)
    with patient_hub():
        assert before is None or before is not _http._GLOBAL_CLIENT_FACTORY
    assert getattr(_http, "_GLOBAL_CLIENT_FACTORY", None) is before


def test_a_word_comes_only_if_it_takes_long(capsys: Any) -> None:
    with word_after("never", 5):
        pass
    began = monotonic()
    with word_after("still waiting for the hub", 0.05):
        while monotonic() < began + 5 and not (said := capsys.readouterr().err):
            sleep(0.01)
    assert said == "hqmd: still waiting for the hub\n"


@pytest.mark.parametrize("how", ["silent", "closed", "offline"])
def test_a_hub_that_cannot_be_reached_is_told_within_seconds(monkeypatch, how: str) -> None:
    """Before anything is downloaded, and without the client's retries."""
    monkeypatch.setattr("hqmd_cli.files.hub_client.ASKED_S", 0.3)
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    if how == "silent":
        server.listen()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", how == "offline")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    with server:
        said = hub_is_silent()
    assert re.search({"silent": "no answer|timed out", "closed": "refused", "offline": "HF_HUB_OFFLINE"}[how], said)
