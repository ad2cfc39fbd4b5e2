"""A web service on this machine that keeps what it gets, and answers as a test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Got:
    """One request."""

    method: str
    path: str
    content_type: str
    body: bytes


class Service:
    """Answers with the given codes in turn, then 204; `requests` are those that came."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.requests: list[Got] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.requests.append(Got(self.command, self.path, self.headers["Content-Type"], body))
                self.send_response(service.answers.pop(0) if service.answers else 204)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_POST = do_PUT = _take  # noqa: N815 - as http.server has it

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def serving() -> Iterator[Service]:
    """A service for the length of a block."""
    made = Service()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()
