"""What programs ask of an S3 server, counted on the wire, by a proxy before the server."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

ENDPOINT = "AWS_ENDPOINT_URL_S3"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Asked:
    """What was asked since `forget`.

    Attributes:
        requests: (kind, path), where a listing is a LIST and every other kind is HTTP's own.
        up, down: bytes to the server and from it, headers included.
    """

    requests: list[tuple[str, str]] = field(default_factory=list)
    up: int = 0
    down: int = 0

    def forget(self) -> None:
        """Begin again."""
        self.requests, self.up, self.down = [], 0, 0

    def count(self, kind: str | None = None, *, log: bool | None = None) -> int:
        """Requests of a kind; with `log`, only those of Delta Lake's logs, or only the others."""
        return sum(
            kind in (None, one) and log in (None, "/_delta_log/" in path or path.endswith("/_last_checkpoint"))
            for one, path in self.requests
        )

    def told(self) -> str:
        """Such as ``7 GET, 1 PUT``."""
        return ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(kind for kind, _ in self.requests).items())) or "0"


@contextmanager
def counted_requests() -> Iterator[Asked]:
    """Count what this process and its children ask of the environment's S3 server, for the length of a block."""
    server = urlsplit(os.environ[ENDPOINT])
    asked = Asked()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, (server.hostname, server.port), asked), daemon=True).start()
    before, os.environ[ENDPOINT] = os.environ[ENDPOINT], f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield asked
    finally:
        os.environ[ENDPOINT] = before
        listener.close()


def _accept(listener: socket.socket, server: tuple[str | None, int | None], asked: Asked) -> None:
    with suppress(OSError):  # closed: the end
        while True:
            client, _ = listener.accept()
            onward = socket.create_connection(server)
            for one in (client, onward):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_requests, args=(client, onward, asked), daemon=True).start()
            threading.Thread(target=_answers, args=(onward, client, asked), daemon=True).start()


def _requests(client: socket.socket, server: socket.socket, asked: Asked) -> None:
    """Pass requests on as they are; only their heads are looked at."""
    waiting = b""
    with suppress(OSError):
        while data := client.recv(1 << 16):
            asked.up += len(data)
            server.sendall(data)
            waiting += data
            while (end := waiting.find(b"\r\n\r\n")) >= 0:
                head = waiting[:end]
                length = int(found[1]) if (found := LENGTH.search(head)) else 0
                waiting = waiting[end + 4 :]
                asked.requests.append(_kind(head))
                while len(waiting) < length:
                    if not (data := client.recv(1 << 16)):
                        return
                    asked.up += len(data)
                    server.sendall(data)
                    waiting += data
                waiting = waiting[length:]
    with suppress(OSError):
        server.shutdown(socket.SHUT_WR)


def _answers(server: socket.socket, client: socket.socket, asked: Asked) -> None:
    with suppress(OSError):
        while data := server.recv(1 << 16):
            asked.down += len(data)
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)


def _kind(head: bytes) -> tuple[str, str]:
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
    path, _, query = target.partition("?")
    return ("LIST" if "list-type" in query else method), unquote(path)
