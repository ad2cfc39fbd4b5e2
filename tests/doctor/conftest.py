"""What the doctor's tests share: no cluster of the user's own, and an S3 server with faults."""

from __future__ import annotations

import http.client
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import ClassVar

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from roadscan.demo.server import S3Server

CONDITIONS = ("if-match", "if-none-match")
HOP = ("transfer-encoding", "connection", "expect")


class _Faulty(http.server.BaseHTTPRequestHandler):
    """Hands requests on to a real server; may leave conditions out, and tell another time."""

    protocol_version = "HTTP/1.1"
    server_host: ClassVar[str]
    credentials: ClassVar[Credentials]
    heedless: ClassVar[bool] = False
    ahead: ClassVar[timedelta] = timedelta()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        if self.heedless and any(name in self.headers for name in CONDITIONS):
            headers = self.signed_again(headers, body)
        upstream = http.client.HTTPConnection(self.server_host)
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in (*HOP, "date"):
                self.send_header(name, value)
        self.send_header("Date", format_datetime(datetime.now(UTC) + self.ahead, usegmt=True))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_PUT = do_HEAD = do_GET  # noqa: N815 - the names that the server calls

    def signed_again(self, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """Without the conditions, which the client's signature covers."""
        kept = {"Host": self.server_host, "X-Amz-Content-SHA256": self.headers["X-Amz-Content-SHA256"]}
        request = AWSRequest(self.command, f"http://{self.server_host}{self.path}", headers=kept, data=body)
        S3SigV4Auth(self.credentials, "s3", "us-east-1").add_auth(request)
        return {**dict(request.headers.items()), "Content-Length": str(len(body))}

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def faulty(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts faults between this process and the server: ``faulty(heedless=True)``, ``faulty(ahead=timedelta(…))``."""
    with ExitStack() as stack:

        def start(**faults: object) -> None:
            given = {"server_host": s3.endpoint.removeprefix("http://"), **faults}
            given["credentials"] = Credentials(s3.access_key, s3.secret_key)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Faulty", (_Faulty,), given))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")

        yield start


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("RAY_A"):  # RAY_ADDRESS, RAY_AUTH_…
            monkeypatch.delenv(name)
