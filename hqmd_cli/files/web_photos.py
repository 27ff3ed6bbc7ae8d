"""Photos from the web: so large, so long, and from public addresses only.

An address in a list of photos may point into the network of whoever runs hqmd. So every address that a name stands for
is checked, at first and after each redirect, and the connection goes to an address that was checked: a name that means
another one a moment later changes nothing. Proxies of the environment are not used.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Timer
from time import monotonic
from urllib.parse import SplitResult, urljoin, urlsplit

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.web_address import is_web_address, without_secrets

MOST_BYTES = 50_000_000
LONGEST_S = 30.0  # for a photo, with all redirects
TOO_LATE = f"not there within {LONGEST_S:.0f} s; try again, or download it first"
MOST_REDIRECTS = 5
PIECE_BYTES = 2**16
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NAT64 = ip_network("64:ff9b::/96")  # its last 32 bits are an address of version 4
# Not public by the registries of IANA, which Python knows since 3.12.4 only.
SPECIAL = (ip_network("192.0.0.0/24"), ip_network("64:ff9b:1::/48"))


def fetch_photo(url: str, allow_private: bool = False) -> bytes:
    """Download a photo. Raises HqmdError naming the address if it cannot be had within the limits."""
    until, name, place = monotonic() + LONGEST_S, printable(without_secrets(url)), url
    for _ in range(MOST_REDIRECTS + 1):
        try:
            found = ask(place, until, allow_private)
        except (HqmdError, OSError, HTTPException, ValueError) as error:
            late = isinstance(error, TimeoutError) or monotonic() >= until
            raise HqmdError(f"{name}: {TOO_LATE if late else in_words(error)}") from error
        if isinstance(found, bytes):
            return found
        place = found
    raise HqmdError(f"{name}: leads on more than {MOST_REDIRECTS} times; give the address of the photo itself")


def in_words(error: Exception) -> str:
    """Say why a photo cannot be had."""
    if isinstance(error, HqmdError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here: {error.verify_message}"
    return f"cannot be downloaded: {first_line(error)}"


def ask(url: str, until: float, allow_private: bool) -> bytes | str:
    """Ask one server; return the content, or the address that it leads on to.

    Raises HqmdError, and OSError, HTTPException and ValueError for what went wrong on the way.
    """
    parts = urlsplit(url)
    if not is_web_address(url) or not parts.hostname:
        raise HqmdError(f"leads to {printable(without_secrets(url))}, which is not an http:// or https:// address")
    if parts.username or parts.password:
        raise HqmdError("a name and a password in an address are not sent; download the photo first")
    with connected(parts, until, allow_private) as connection:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": f"hqmd/{__version__}", "Accept-Encoding": "identity"})
        response = connection.getresponse()
        if response.status in REDIRECTS and (leads_to := response.headers.get("Location")):
            return urljoin(url, leads_to)
        if response.status != 200:
            raise HqmdError(f"the server answers {response.status} {printable(response.reason)}")
        content = content_of(response)
        left(until)  # or else it was cut off, which an answer without a length does not show
        return content


@contextmanager
def connected(parts: SplitResult, until: float, allow_private: bool) -> Iterator[HTTPConnection]:
    """Connect to a host by an address that was checked, and end the connection when its time is over.

    The socket's time-out starts again with each byte, so a server that sends one now and then would never end. Raises
    HqmdError if the host has an address that is not public.
    """
    host, secure = str(parts.hostname), parts.scheme.lower() == "https"
    port = parts.port or (443 if secure else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    private = [str(address[0]) for *_, address in found if not is_public(str(address[0]))]
    if private and not allow_private:
        meant = "" if private[0] == host else f"{private[0]}, "
        raise HqmdError(f"{printable(host)} is {meant}no public address; --allow-private reads it nevertheless")
    with (
        socket.create_connection((str(found[0][4][0]), port), timeout=left(until)) as made,
        closing(HTTPSConnection(host, port) if secure else HTTPConnection(host, port)) as connection,
        made.dup() as twin,  # of the same connection; TLS takes the first one over
    ):
        clock = Timer(left(until), end, [twin])
        clock.daemon = True
        clock.start()
        try:
            connection.sock = ssl.create_default_context().wrap_socket(made, server_hostname=host) if secure else made
            yield connection
        finally:
            clock.cancel()
            clock.join()  # before the twin's descriptor is closed, and given to another file


def end(connected_socket: socket.socket) -> None:
    """End a connection, whoever waits for it."""
    with suppress(OSError):  # it has ended already
        connected_socket.shutdown(socket.SHUT_RDWR)


def is_public(address: str) -> bool:
    """True for an address of the public internet, whatever form it is written in."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner or found in NAT64:
            return is_public(str(inner or ip_address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast and not any(found in network for network in SPECIAL)


def content_of(response: HTTPResponse) -> bytes:
    """Read an answer to its end. Raises HqmdError for more than MOST_BYTES, or less than was announced."""
    too_large = HqmdError(f"larger than {MOST_BYTES // 10**6} MB; download it first")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > MOST_BYTES:
        raise too_large
    content = bytearray()
    while piece := response.read1(PIECE_BYTES):
        content += piece
        if len(content) > MOST_BYTES:
            raise too_large
    if announced.isdecimal() and len(content) < int(announced):
        raise HqmdError("the connection was closed early; try again")
    return bytes(content)


def left(until: float) -> float:
    """Return the seconds that are left. Raises TimeoutError if there are none."""
    if (seconds := until - monotonic()) <= 0:
        raise TimeoutError
    return seconds
