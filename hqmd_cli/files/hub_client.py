"""The Hugging Face hub's client, with patience that ends.

Without limits, the client waits for ever on a server that accepts connections and says nothing, and tries again for
half a minute where there is no network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.waiting import within, word_after

REQUEST_S = 8.0  # without a byte, after which one request is given up
ASKED_S = 3.0  # for an answer before anything is downloaded
GIVE_UP_S = 2.0  # after which a request that failed is not tried again


class HubSilent(Exception):
    """The hub does not answer."""


class Patience:
    """Watches requests and answers: hooks of the client's HTTP library."""

    def __init__(self) -> None:
        self.asked: dict[str, float] = {}  # requests without an answer yet -> when each was first tried
        self.lock = Lock()

    def request(self, request: Any) -> None:
        """Limit the time of a request. Raises HubSilent if it was tried before in vain, for long enough."""
        limits = dict.fromkeys(("connect", "read", "write", "pool"), REQUEST_S)
        request.extensions = {**request.extensions, "timeout": limits}
        with self.lock:
            if monotonic() - self.asked.setdefault(named(request), monotonic()) > GIVE_UP_S:
                raise HubSilent(f"{request.url.host} does not answer")

    def response(self, response: Any) -> None:
        """Note that the hub answers."""
        with self.lock:
            self.asked.pop(named(response.request), None)


def named(request: Any) -> str:
    """Return what tells a request from others; a further try of it has the same name."""
    return f"{request.method} {request.url}"


@contextmanager
def patient_hub() -> Iterator[None]:
    """While inside, end requests to the hub that are not answered, and say after some seconds what is waited for.

    The client then raises its own errors, or HubSilent; what it logs is not printed. Clients before version 1.0 keep
    their own limits.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import _http, logging

    with word_after(f"still waiting for the Hugging Face hub, {constants.ENDPOINT}"), silent(logging):
        before = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None)
        if before is None:
            yield
            return
        patience = Patience()

        def client() -> Any:
            made = before()
            hooks = made.event_hooks
            made.event_hooks = {
                "request": [*hooks["request"], patience.request],
                "response": [*hooks["response"], patience.response],
            }
            return made

        _http.set_client_factory(client)
        try:
            yield
        finally:
            _http.set_client_factory(before)


@contextmanager
def silent(logging: Any) -> Iterator[None]:
    """While inside, let the hub's client print no warnings, such as that it tries again."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def hub_is_silent() -> str:
    """Say within ASKED_S why the hub cannot be reached; an empty string if it answers, whatever it says.

    Its client would try again for as long as its patience lasts.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"

    def ask() -> str:
        try:
            with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=ASKED_S):
                return ""
        except HTTPError:
            return ""
        except (OSError, ValueError) as error:  # URLError is an OSError
            reason = getattr(error, "reason", error)
            return f"{constants.ENDPOINT}: {getattr(reason, 'strerror', None) or reason}"

    try:  # a name server or proxy may be silent, too
        return within(ASKED_S, ask, f"{constants.ENDPOINT}: no answer within {ASKED_S:g} s")
    except HqmdError as silence:
        return str(silence)
