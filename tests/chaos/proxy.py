"""A proxy before an S3 server that harms what goes through it, as a plan says, request by request.

What a client signs includes the address that it asks, so that header goes on as it came.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HANG_S, LATE_S, DRIP_S, DRIP_BYTES = 4.0, 0.3, 0.02, 1024
CAPTIVE_PAGE = b"<!DOCTYPE html><html><body>Please sign in to this network.</body></html>"


class Harm(Enum):
    """What becomes of one request; the first ones never reach the server."""

    SLOW_DOWN = (503, "SlowDown")
    INTERNAL = (500, "InternalError")
    FORBIDDEN = (403, "AccessDenied")
    NOT_FOUND = (404, "NoSuchKey")
    CONFLICT = (409, "ConditionalRequestConflict")
    CAPTIVE = "another network's page comes back"
    RESET = "the connection ends"
    HANG = "no answer, until the connection ends"
    ACK_LOST = "done, and the connection ends before the answer"
    TRUNCATED = "the answer's body ends half way"
    FLIPPED = "one bit of the answer's body is another"
    DRIP = "the answer comes slowly"
    LATE = "the answer comes late"


@dataclass(frozen=True)
class Request:
    """A request as the plan sees it.

    Attributes:
        number: counted from 0 since the plan was made.
        method, path: HTTP's own; the path with its query.
        conditional: whether it asks for a state, such as that there is no such object yet.
    """

    number: int
    method: str
    path: str
    conditional: bool

    @property
    def writes(self) -> bool:
        """Whether it changes the store."""
        return self.method in ("PUT", "POST", "DELETE")


Plan = Callable[[Request], Harm | None]


def calm(_: Request) -> None:
    """No harm."""


class Proxy:
    """The proxy; `plan` is asked for each request, `after` is called once the server has answered one."""

    def __init__(self, server: str) -> None:
        self.server = urlsplit(server)
        self._lock = threading.Lock()
        self.follow(calm)

    def follow(self, plan: Plan, after: Callable[[Request], None] = calm) -> None:
        """Begin with another plan; requests are counted from 0 again, and so is `harmed`."""
        self.plan, self.after, self.harmed, self._asked = plan, after, 0, 0

    def judge(self, method: str, path: str, conditional: bool) -> tuple[Request, Harm | None]:
        """A request as it comes -> what becomes of it."""
        with self._lock:
            request = Request(self._asked, method, path, conditional)
            self._asked += 1
            harm = self.plan(request)
            self.harmed += harm is not None
        return request, harm


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def log_message(self, *_: object) -> None:
        pass

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        conditional = "If-Match" in self.headers or "If-None-Match" in self.headers
        request, harm = self.proxy.judge(self.command, self.path, conditional)
        if harm in (Harm.RESET, Harm.HANG):
            time.sleep(HANG_S if harm is Harm.HANG else 0)
            self._end()
        elif harm is Harm.CAPTIVE:
            self._answer(200, {"Content-Type": "text/html"}, CAPTIVE_PAGE)
        elif harm is not None and isinstance(harm.value, tuple):
            status, code = harm.value
            text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{harm.name}</Message></Error>'
            self._answer(status, {"Content-Type": "application/xml"}, text.encode())
        else:
            status, headers, data = self._ask(body)
            self.proxy.after(request)
            self._pass_on(harm, status, headers, data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _take  # noqa: N815 - as http.server has it

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        server = http.client.HTTPConnection(self.proxy.server.hostname or "", self.proxy.server.port)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    server.putheader(name, value)
            server.endheaders(body)
            answer = server.getresponse()
            hidden = ("connection", "transfer-encoding", "content-length", "date", "server")
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in hidden}
            length = answer.getheader("Content-Length")
            data = answer.read()
            if self.command == "HEAD" and length is not None:
                headers["Content-Length"] = length
            return answer.status, headers, data
        finally:
            server.close()

    def _pass_on(self, harm: Harm | None, status: int, headers: dict[str, str], data: bytes) -> None:
        if harm is Harm.ACK_LOST:
            self._end()
            return
        if harm is Harm.LATE:
            time.sleep(LATE_S)
        if harm is Harm.FLIPPED and data:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
        if harm is Harm.TRUNCATED and data:
            self._answer(status, headers, data, cut=len(data) // 2)
            self._end()
            return
        self._answer(status, headers, data, slowly=harm is Harm.DRIP)

    def _answer(
        self, status: int, headers: dict[str, str], data: bytes, *, cut: int | None = None, slowly: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status not in (204, 304):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        step = DRIP_BYTES if slowly else max(len(data), 1)
        for start in range(0, len(data[:cut]), step):
            self.wfile.write(data[:cut][start : start + step])
            time.sleep(DRIP_S if slowly else 0)

    def _end(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that was killed in the middle of a request is no news."""


@contextmanager
def proxied(server: str) -> Iterator[tuple[Proxy, str]]:
    """The proxy and its address, before the server of that address, for the length of a block."""
    proxy = Proxy(server)
    listener = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield proxy, f"http://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        listener.server_close()
