"""Separate hosts on one machine: each has a network interface, processes, shared memory and a disk for Ray of its own.

They are Linux namespaces below one bridge, which needs root. A host lives as long as its first process, which reads
standard input until its end; so a host ends with the process that made it, whatever ends that, and with a host ends all
that runs on it, its mounts and its interface.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

OWN = ("/tmp/ray", "/dev/shm")
PROGRAMS = ("ip", "unshare", "nsenter", "mount")


def why_not() -> str | None:
    """What this machine lacks for hosts, or None."""
    if os.geteuid() != 0:
        return "hosts need root, to make network namespaces"
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking:
        return f"hosts need {', '.join(lacking)}: apt-get install iproute2 util-linux"
    probe = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return f"hosts need namespaces: {probe.stderr.decode().strip()}" if probe.returncode else None


@dataclass
class Host:
    """A running host.

    Attributes:
        address: in the network of its bridge, which this machine is in, too.
        pid: of its first process, as this machine counts.
        started: programs that run on it.
    """

    address: str
    pid: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def within(self, folder: Path) -> list[str]:
        """The words before a command that make it run on the host, in a folder of the disk that all share."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--net", "--pid", f"--wd={folder}"]

    def start(self, log: Path, *command: str, **environment: str) -> None:
        """Start a program on the host, in the folder of its log; it ends with the host at the latest."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                [*self.within(log.parent), *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True, env={**os.environ, **environment},
            )  # fmt: skip
        self.started.append(process)

    def path(self, path: str) -> Path:
        """A path on the host, as this machine sees it."""
        return Path(f"/proc/{self.pid}/root{path}")


@contextmanager
def separate_hosts(*names: str) -> Iterator[list[Host]]:
    """Hosts that see each other and this machine, and nothing else."""
    network = _free_network()
    bridge = f"rs{secrets.token_hex(3)}"
    with ExitStack() as stack:
        _run("ip", "link", "add", bridge, "type", "bridge")
        stack.callback(_run, "ip", "link", "delete", bridge)
        _run("ip", "address", "add", f"{network}.1/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        yield [stack.enter_context(_host(name, bridge, network, 10 + i)) for i, name in enumerate(names)]


@contextmanager
def _host(name: str, bridge: str, network: str, number: int) -> Iterator[Host]:
    port, address = f"{bridge}-{number}", f"{network}.{number}"
    boot = " && ".join([f"hostname {name}", *(f"mkdir -p {own} && mount -t tmpfs tmpfs {own}" for own in OWN)])
    process = subprocess.Popen(
        ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
         "sh", "-c", f"{boot} && echo ready && exec cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    host = None
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", f"host {name} does not start"
        (first,) = psutil.Process(process.pid).children()
        host = Host(address, first.pid)
        _run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(first.pid))
        _run("ip", "link", "set", port, "master", bridge, "up")
        there = ["nsenter", f"--target={first.pid}", "--net", "ip"]
        _run(*there, "address", "add", f"{address}/24", "dev", "eth0")
        _run(*there, "link", "set", "eth0", "up")
        _run(*there, "link", "set", "lo", "up")
        yield host
    finally:
        for one in psutil.Process(process.pid).children():
            one.kill()  # the kernel ends all others on the host before this one is gone
        process.communicate()
        for started in host.started if host else ():
            started.wait()


def _free_network() -> str:
    """The first three numbers of a network in 198.18.0.0/15, which is set aside for tests of networks."""
    taken = subprocess.run(["ip", "-4", "address"], capture_output=True, text=True, check=True).stdout
    while f" {(network := f'198.18.{secrets.randbelow(256)}')}." in taken:
        pass
    return network


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
