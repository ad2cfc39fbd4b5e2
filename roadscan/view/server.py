"""Serve a warehouse's pages on this machine until Ctrl-C."""

from __future__ import annotations

import errno
import getpass
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from roadscan.errors import ConfigError, RoadscanError
from roadscan.inventory.reference import ReferenceConfig, read_reference
from roadscan.view.guard import Guard, is_loopback
from roadscan.view.photographs import Photographs
from roadscan.view.site import Site, application
from roadscan.warehouse import Warehouse

LOOPBACK = "127.0.0.1"
PORT = 8765
OWN_NAMES = ("127.0.0.1", "localhost", "::1")
TOKEN = "ROADSCAN_VIEW_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Served:
    """A site that is about to be served.

    Attributes:
        app: the application, guarded.
        listening: the socket.
        address: to open in a browser; it has the token where one is demanded.
    """

    app: ASGIApp
    listening: socket.socket
    address: str


def open_site(
    warehouse_uri: str, reference: str | None = None, images: Sequence[str] = (), reviewer: str | None = None
) -> Site:
    """The site of a warehouse, its newest register in memory.

    Args:
        warehouse_uri: the warehouse's root.
        reference: centrelines, as `reference.uri` of an inventory.
        images: ``FROM=TO``: where images lie now whose addresses begin with FROM.
        reviewer: who decides, unless a page says otherwise; None for the user of this process.

    Raises:
        WarehouseError: nothing was ever published there, or no register.
        ConfigError: the reference cannot be used, or an image root is not FROM=TO.
        StorageError: the warehouse cannot be read.
    """
    warehouse = Warehouse(warehouse_uri)
    warehouse.published()
    known = read_reference(ReferenceConfig(uri=reference)) if reference else None
    site = Site(warehouse, known, Photographs(_moved(images)), reviewer or _user())
    site.register(site.releases.current())
    return site


def prepare(site: Site, host: str = LOOPBACK, port: int = PORT) -> Served:
    """A socket and an application for it; 0 takes any free port.

    Raises:
        RoadscanError: the port is taken, or the host is no address of this machine.
    """
    listening = _listen(host, port)
    bound = listening.getsockname()[1]
    if is_loopback(host):
        names = {*OWN_NAMES, host}
        return Served(Guard(application(site), hosts=names), listening, f"http://{_written(host)}:{bound}/")
    token = os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    name = socket.gethostname() if host in ("0.0.0.0", "::") else _written(host)  # noqa: S104 - compared, not bound
    return Served(Guard(application(site), token=token), listening, f"http://{name}:{bound}/?token={token}")


def serve(served: Served, on_ready: Callable[[], None] = lambda: None) -> None:
    """Answer requests until the process is asked to end.

    Args:
        served: of `prepare`.
        on_ready: called when requests are answered.
    """
    config = uvicorn.Config(served.app, log_config=None, access_log=False, server_header=False, lifespan="off")
    server = uvicorn.Server(config)
    with closing(served.listening):
        on_ready()
        with suppress(KeyboardInterrupt):  # how it is meant to end
            server.run(sockets=[served.listening])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        return "reviewer"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise RoadscanError(
                f"port: {port} is taken on {host}; give another one with --port, or --port 0 for any that is free"
            ) from None
        raise RoadscanError(f"host: got {host}; expected an address of this machine: {error}") from None
    return listening


def _moved(images: Sequence[str]) -> Mapping[str, str]:
    moved = {}
    for pair in images:
        old, separator, now = pair.partition("=")
        if not (old and separator and now):
            raise ConfigError(f"images: got {pair!r}; expected FROM=TO, as s3://raw=/mnt/archive/raw")
        moved[old] = now
    return moved


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
