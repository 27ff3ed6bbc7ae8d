"""Who may ask: Host, Origin and token, checked before anything else; and what browsers may do with the answers.

A server on loopback is reached by every page that its user's browser shows. So it answers only to its own names, which
a rebound name of another site is not, and only to requests of its own page, or of programs, which send no Origin. The
model is Jupyter's, without cookies: those know no ports, and outlive the server.
"""

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from hqmd_cli.errors import printable
from hqmd_cli.serving.problems import Problem
from hqmd_cli.serving.settings import ServerSettings

PROBES = ("/healthz", "/readyz")  # come with any Host, and are told nothing
DEFAULT_PORTS = {"http": 80, "https": 443}
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
MOST_SHOWN = 100  # letters of a name in a message


def authority(text: str) -> tuple[str, int | None]:
    """Split "[::1]:8350" into host, in small letters and without brackets, and port. Raises ValueError for no host."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or parts.username is not None or parts.query or parts.fragment:
        raise ValueError(text)
    return parts.hostname.lower().removesuffix("."), parts.port


def require_allowed(scope: Scope, settings: ServerSettings, is_public: bool) -> None:
    """Raise Problem for a request that must not be answered; `is_public`: of a file of the page, which tells nothing.

    A link from another site may open the page, but not ask for depth.
    """
    headers = Headers(scope=scope)
    if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may see another request in it
        raise Problem(400, "Content-Length and Transfer-Encoding together; send one of them", {"Connection": "close"})
    host = require_host(headers, scope, settings)
    require_origin(headers, host, settings, is_public)
    if settings.token and not is_public:
        require_token(headers, settings.token)


def require_host(headers: Headers, scope: Scope, settings: ServerSettings) -> tuple[str, int | None]:
    """Return host and port by which the client calls the server. Raises Problem unless they are its own."""
    named = headers.getlist("host")
    try:
        (said,) = named
        host, port = authority(said)
    except ValueError:
        raise Problem(400, "the request needs one Host header, with a name and perhaps a port") from None
    own = set(settings.own_names)
    if not settings.is_local and scope.get("server"):
        own.add(str(scope["server"][0]))  # the address that the client connected to, which is no name to rebind
    if host in own or is_named(host, port, settings):
        return host, port
    shown = printable(host[:MOST_SHOWN])
    raise Problem(403, f"this server does not answer to the Host {shown}; start it with --allow-host {shown}")


def is_named(host: str, port: int | None, settings: ServerSettings) -> bool:
    """True if --allow-host names this host, with this port or without any."""
    allowed = [authority(name) for name in settings.names]
    return (host, port) in allowed or (host, None) in allowed


def require_origin(headers: Headers, host: tuple[str, int | None], settings: ServerSettings, is_public: bool) -> None:
    """Raise Problem for a request that a browser sends for another site.

    Schemes may differ, since a proxy may do the TLS, and ports of tunnels, as long as Host and Origin agree.
    """
    navigates = is_public and headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site") == "cross-site" and not navigates:
        raise Problem(403, "the browser says that another site asks (Sec-Fetch-Site: cross-site); open the page itself")
    for said in headers.getlist("origin"):
        try:
            scheme, _, rest = said.partition("://")
            origin, port = authority(rest)
        except ValueError:
            raise Problem(
                403, "an Origin that is no site (such as null) gets no answer; open the page itself"
            ) from None
        usual = DEFAULT_PORTS.get(scheme)
        same = origin == host[0] and (port or usual) == (host[1] or usual)
        if not (same or is_named(origin, port, settings)):
            shown = printable(origin[:MOST_SHOWN])
            raise Problem(
                403,
                f"the Origin {shown} is another site than the Host; if it is yours, start with --allow-host {shown}",
            )


def require_token(headers: Headers, token: str) -> None:
    """Raise Problem unless the request has the token."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        why = "this server asks for its token: send the header Authorization: Bearer TOKEN"
    elif not secrets.compare_digest(given.strip().encode("latin-1", "replace"), token.encode("ascii")):
        why = "wrong token; the right one was printed when the server started, or given with --token"
    else:
        return
    raise Problem(401, why, {"WWW-Authenticate": 'Bearer realm="hqmd"'})
