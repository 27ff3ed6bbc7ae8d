"""How a server is reached, and how much it takes. Imports nothing that needs the extra."""

import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from hqmd_cli.errors import HqmdError

LOOPBACK = ("127.0.0.1", "::1")
LOOPBACK_NAMES = frozenset({"localhost", *LOOPBACK})
DEFAULT_PORT = 8350
SHORTEST_TOKEN = 16
TOKEN = re.compile(r"[\w.~+/=-]+", re.ASCII)  # what may follow Bearer, RFC 6750
NAME = re.compile(r"[a-z0-9._-]+(:\d{1,5})?|\[[0-9a-f:.]+\](:\d{1,5})?")


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server. Raises HqmdError for those that do not fit together, and for an unsafe token."""

    host: str = ""  # that it listens on; empty: both loopback addresses
    port: int = DEFAULT_PORT  # 0: any that is free
    token: str = ""  # empty: nobody is asked for one
    names: tuple[str, ...] = ()  # further Hosts that it answers to
    cert: Path | None = None  # of TLS, in PEM
    key: Path | None = None
    most_bytes: int = 50_000_000  # of a photo
    most_bytes_together: int = 400_000_000  # of all photos that are being received or wait
    waiting: int = 8  # photos that may wait
    most_connections: int = 500
    headers_s: float = 10.0  # from the start of a connection, or of a further request, to the end of its headers
    body_s: float = 60.0  # from the end of the headers to the end of the photo
    send_s: float = 60.0  # that a client may leave an answer lying
    drain_s: float = 60.0  # from the signal to stop to the end

    def __post_init__(self) -> None:
        if self.token and (len(self.token) < SHORTEST_TOKEN or not TOKEN.fullmatch(self.token)):
            raise HqmdError(
                f"--token: {SHORTEST_TOKEN} or more letters, digits and ._~+/=- are a token; leave it out to get one"
            )
        if not self.is_local and not self.token:
            raise HqmdError(f"--host {self.host}: others can reach it, so it needs --token")
        if (self.cert is None) != (self.key is None):
            raise HqmdError("--tls-cert and --tls-key: give both, or neither")
        for path in (self.cert, self.key):
            if path and not path.is_file():
                raise HqmdError(f"{path}: no such file; --tls-cert and --tls-key are files in PEM")
        for name in self.names:
            if not NAME.fullmatch(name):
                raise HqmdError(f"--allow-host {name}: a name or an address, such as depth.example.org or [::1]:8350")

    @property
    def is_local(self) -> bool:
        """True if only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def scheme(self) -> str:
        """What its addresses begin with."""
        return "https" if self.cert else "http"

    @property
    def own_names(self) -> frozenset[str]:
        """The Hosts that it answers to on any port, without those of `names`."""
        own = {self.host.strip("[]").lower(), "" if self.is_local else socket.gethostname().lower()}
        return LOOPBACK_NAMES | own - {"", "0.0.0.0", "::"}

    def url(self, port: int) -> str:
        """Return the address of the page."""
        host = self.host or "localhost"
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        host = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{host}:{port}/{'#token=' + self.token if self.token else ''}"


def is_loopback(host: str) -> bool:
    """True for an address or a name that only this machine can reach; an empty one stands for both loopbacks."""
    if host in ("", "localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
