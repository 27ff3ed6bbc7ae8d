"""Photos from the web: so large, so long, and from public addresses only.

An address in a list of photos may point into the network of whoever runs hqmd. So every address that a name stands for
is checked, at first and after each redirect, and the connection goes to an address that was checked: a name that means
another one a moment later changes nothing. Proxies of the environment are not used.
"""

import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import IPv6Address, ip_address, ip_network
from time import monotonic
from urllib.parse import SplitResult, urljoin, urlsplit

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.web_address import is_web_address

MOST_BYTES = 50_000_000
LONGEST_S = 30.0  # for a photo, with all redirects
MOST_REDIRECTS = 5
PIECE_BYTES = 2**16
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NAT64 = ip_network("64:ff9b::/96")  # its last 32 bits are an address of version 4


def fetch_photo(url: str, allow_private: bool = False) -> bytes:
    """Download a photo. Raises HqmdError naming the address if it cannot be had within the limits."""
    until, name, place = monotonic() + LONGEST_S, printable(url), url
    for _ in range(MOST_REDIRECTS + 1):
        try:
            found = ask(place, until, allow_private)
        except HqmdError as error:
            raise HqmdError(f"{name}: {error}") from error
        except ssl.SSLCertVerificationError as error:
            raise HqmdError(f"{name}: its certificate is not trusted here: {error.verify_message}") from error
        except TimeoutError as error:
            raise HqmdError(f"{name}: not there within {LONGEST_S:.0f} s; try again, or download it first") from error
        except (OSError, HTTPException, ValueError) as error:
            raise HqmdError(f"{name}: cannot be downloaded: {first_line(error)}") from error
        if isinstance(found, bytes):
            return found
        place = found
    raise HqmdError(f"{name}: leads on more than {MOST_REDIRECTS} times; give the address of the photo itself")


def ask(url: str, until: float, allow_private: bool) -> bytes | str:
    """Ask one server; return the content, or the address that it leads on to.

    Raises HqmdError, and OSError, HTTPException and ValueError for what went wrong on the way.
    """
    parts = urlsplit(url)
    if not is_web_address(url) or not parts.hostname:
        raise HqmdError(f"leads to {printable(url)}, which is no http:// or https:// address")
    if parts.username or parts.password:
        raise HqmdError("a name and a password in an address are not sent; download the photo first")
    connection = connect(parts, until, allow_private)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": f"hqmd/{__version__}", "Accept-Encoding": "identity"})
        response = connection.getresponse()
        if response.status in REDIRECTS and (leads_to := response.headers.get("Location")):
            return urljoin(url, leads_to)
        if response.status != 200:
            raise HqmdError(f"the server answers {response.status} {printable(response.reason)}")
        return content_of(response, connection, until)
    finally:
        connection.close()


def connect(parts: SplitResult, until: float, allow_private: bool) -> HTTPConnection:
    """Connect to a host by an address that was checked. Raises HqmdError if it has one that is not public."""
    host, secure = str(parts.hostname), parts.scheme.lower() == "https"
    port = parts.port or (443 if secure else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    private = [str(address[0]) for *_, address in found if not is_public(str(address[0]))]
    if private and not allow_private:
        raise HqmdError(f"{printable(host)} is {private[0]}, no public address; --allow-private reads it nevertheless")
    made = socket.create_connection((str(found[0][4][0]), port), timeout=left(until))
    if secure:
        connection: HTTPConnection = HTTPSConnection(host, port)
        connection.sock = ssl.create_default_context().wrap_socket(made, server_hostname=host)
    else:
        connection = HTTPConnection(host, port)
        connection.sock = made
    return connection


def is_public(address: str) -> bool:
    """True for an address of the public internet, whatever form it is written in."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner or found in NAT64:
            return is_public(str(inner or ip_address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


def content_of(response: HTTPResponse, connection: HTTPConnection, until: float) -> bytes:
    """Read an answer to its end. Raises HqmdError for more than MOST_BYTES, and TimeoutError."""
    too_large = HqmdError(f"larger than {MOST_BYTES // 10**6} MB; download it first")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > MOST_BYTES:
        raise too_large
    content = bytearray()
    while True:
        if connection.sock is not None:
            connection.sock.settimeout(left(until))
        if not (piece := response.read1(PIECE_BYTES)):
            break
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
