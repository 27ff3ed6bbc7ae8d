"""Listen, serve, and stop in order: what was taken is finished, and who comes meanwhile hears so."""

import asyncio
import errno
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn

from hqmd_cli.errors import INTERRUPTED, HqmdError, first_line
from hqmd_cli.serving.application import Service
from hqmd_cli.serving.line import Line
from hqmd_cli.serving.protocol import protocol_with
from hqmd_cli.serving.settings import LOOPBACK, ServerSettings

Say = Callable[[str], None]
KEEP_ALIVE_S = 5  # that a connection may stay open without a request
LAST_ANSWERS_S = 5  # for the last answers to reach their clients
STOPS = (signal.SIGINT, signal.SIGTERM)
logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it would warn of every malformed request


def sockets_for(settings: ServerSettings) -> list[socket.socket]:
    """Bind to every address of the server's name; by default to both loopbacks. IPv6 may be missing.

    Raises HqmdError naming the option if an address is not of this machine, or the port is taken.
    """
    port, sockets, failed = settings.port, list[socket.socket](), None
    for host in [settings.host.strip("[]")] if settings.host else LOOPBACK:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, where in dict.fromkeys((family, address[0]) for family, *_, address in found):
                try:
                    sockets.append(socket.create_server((str(where), port), family=family))
                    port = sockets[-1].getsockname()[1]  # the one that was free, where any will do
                except OSError as error:
                    failed = error
                    if error.errno == errno.EADDRINUSE:
                        raise
        except OSError as error:
            failed = error
        if failed and (not sockets or failed.errno == errno.EADDRINUSE):
            for each in sockets:
                each.close()
            raise unavailable(host, port, failed) from failed
    return sockets


def unavailable(host: str, port: int, error: OSError) -> HqmdError:
    """Say why an address cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        return HqmdError(f"--port {port}: another program listens there; choose another, or 0 for any")
    if error.errno == errno.EACCES:
        return HqmdError(f"--port {port}: not allowed for this user; choose one above 1023")
    return HqmdError(f"--host {host}: cannot be listened on: {error.strerror or first_line(error)}")


class DrainingServer(uvicorn.Server):
    """uvicorn, which on a signal to stop first finishes the photos that it took, and answers others with 503."""

    def __init__(self, config: uvicorn.Config, line: Line, drain_s: float, say: Say) -> None:
        super().__init__(config)
        self.line, self.drain_s, self.say = line, drain_s, say
        self.is_whole = True  # False: it ended before all photos were answered

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.line.is_closed = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.line.is_closed = True
        left = self.line.waiting + self.line.working
        if left:
            self.say(f"stopping: finishing {left} photos first; Ctrl-C again ends at once")
        drained = asyncio.ensure_future(self.line.empty())
        until = asyncio.get_running_loop().time() + self.drain_s
        while not drained.done() and not self.force_exit and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.05)
        self.is_whole = drained.done()
        drained.cancel()
        await super().shutdown(sockets)
        self.line.pool.shutdown(wait=False, cancel_futures=True)


def server_for(service: Service, say: Say) -> DrainingServer:
    """Make the server of a service. Raises HqmdError if the files for TLS cannot be used."""
    settings = service.settings
    config = uvicorn.Config(
        service,
        http=protocol_with(settings),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
        ssl_certfile=settings.cert,
        ssl_keyfile=settings.key,
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise HqmdError(
            f"{settings.cert}: not a certificate with the key {settings.key}: {first_line(error)}"
        ) from error
    return DrainingServer(config, service.line, settings.drain_s, say)


def serve(service: Service, sockets: list[socket.socket], say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM. `say` gets lines for the user. Raises HqmdError as server_for."""
    server = server_for(service, say)
    is_process = threading.current_thread() is threading.main_thread()
    if is_process:
        for stop in STOPS:  # uvicorn raises the signal again when it has stopped, which would look like a failure
            signal.signal(stop, lambda number, frame: None)
    say(f"serving {', '.join(service.models)} at {service.settings.url(sockets[0].getsockname()[1])}")
    server.run(sockets)
    if is_process and not server.is_whole:
        say("ended before all photos were answered")
        os._exit(INTERRUPTED)  # Python would wait for the photo in work
