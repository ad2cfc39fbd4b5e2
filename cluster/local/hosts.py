"""Separate hosts on one machine: each has a network interface, processes, shared memory and a disk for Ray of its own.

They are Linux namespaces below one bridge, which needs root. With a host's first process ends all that runs on it, its
mounts and its interface. By default that process reads standard input until its end; so a host ends with the process
that made it, whatever ends that. One that is to stay sleeps instead.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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
        link: its network cable: the end that is in the bridge.
        started: programs that run on it, of those that this process started.
    """

    address: str
    pid: int
    link: str
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

    def processes(self) -> list[psutil.Process]:
        """All that runs on it, its first process included."""
        mine = _pid_namespace(self.pid)
        return [one for one in psutil.process_iter() if mine and _pid_namespace(one.pid) == mine]

    @property
    def is_on(self) -> bool:
        """Whether it runs."""
        return _pid_namespace(self.pid) is not None

    @property
    def is_cut(self) -> bool:
        """Whether its cable is out."""
        shown = subprocess.run(
            ["ip", "-oneline", "link", "show", self.link], capture_output=True, text=True, check=False
        )
        return ",UP" not in shown.stdout

    def cut(self) -> None:
        """Pull its cable out: what is on the way is lost, and nobody is told."""
        _run("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        """Put its cable back."""
        _run("ip", "link", "set", self.link, "up")

    def close(self, *ports: int) -> None:
        """Send no answer from these TCP ports to other hosts, as a firewall would."""
        rule = ["nsenter", f"--target={self.pid}", "--net", "ip", "rule", "add", "ipproto", "tcp"]
        for port in ports:
            _run(*rule, "sport", str(port), "prohibit")

    def kill(self) -> None:
        """Take its power away. Its disk for Ray and its memory are gone with it."""
        with suppress(psutil.NoSuchProcess):
            psutil.Process(self.pid).kill()  # the kernel ends all others on the host before this one is gone
        while self.is_on:
            time.sleep(0.05)


@contextmanager
def separate_hosts(*names: str) -> Iterator[list[Host]]:
    """Hosts that see each other and this machine, and nothing else."""
    network = free_network()
    bridge = f"rs{secrets.token_hex(3)}"
    with ExitStack() as stack:
        add_bridge(bridge, network)
        stack.callback(delete_link, bridge)
        yield [stack.enter_context(_while_open(name, bridge, network, 10 + i)) for i, name in enumerate(names)]


@contextmanager
def _while_open(name: str, bridge: str, network: str, number: int) -> Iterator[Host]:
    host, process = boot(name, bridge, f"{network}.{number}")
    try:
        yield host
    finally:
        host.kill()
        process.communicate()
        for started in host.started:
            started.wait()


def add_bridge(bridge: str, network: str) -> None:
    """Make a bridge with this machine as its number 1."""
    _run("ip", "link", "add", bridge, "type", "bridge")
    _run("ip", "address", "add", f"{network}.1/24", "dev", bridge)
    _run("ip", "link", "set", bridge, "up")


def delete_link(name: str) -> None:
    """Take a bridge or a cable away, if it is there."""
    subprocess.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL, check=False)


def boot(name: str, bridge: str, address: str, stays: bool = False) -> tuple[Host, subprocess.Popen[bytes]]:
    """Start a host.

    Args:
        name: its own of itself.
        bridge: made by `add_bridge`.
        address: in the bridge's network; the same again for a host that comes back.
        stays: it does not end with this process.

    Returns:
        It, and the process that waits for its end.
    """
    link = f"{bridge}-{address.rpartition('.')[2]}"
    delete_link(link)  # the kernel clears up after a host that was killed when it finds the time
    mounts = [f"mkdir -p {own} && mount -t tmpfs tmpfs {own}" for own in OWN]
    last = "exec sleep infinity >/dev/null" if stays else "exec cat"
    process = subprocess.Popen(
        ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
         "sh", "-c", " && ".join([f"hostname {name}", *mounts, "echo ready", last])],
        stdin=subprocess.DEVNULL if stays else subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=stays,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n", f"host {name} does not start"
    (first,) = psutil.Process(process.pid).children()
    host = Host(address, first.pid, link)
    try:
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        _run("ip", "link", "set", link, "master", bridge, "up")
        there = ["nsenter", f"--target={host.pid}", "--net", "ip"]
        # The same card as before: others remember where an address was, for minutes.
        _run(
            *there,
            "link",
            "set",
            "eth0",
            "address",
            ":".join(["02:00", *(f"{int(n):02x}" for n in address.split("."))]),
        )
        _run(*there, "address", "add", f"{address}/24", "dev", "eth0")
        _run(*there, "link", "set", "eth0", "up")
        _run(*there, "link", "set", "lo", "up")
    except BaseException:
        host.kill()
        process.communicate()
        raise
    return host, process


def free_network() -> str:
    """The first three numbers of a network in 198.18.0.0/15, which is set aside for tests of networks."""
    taken = subprocess.run(["ip", "-4", "address"], capture_output=True, text=True, check=True).stdout
    while f" {(network := f'198.18.{secrets.randbelow(256)}')}." in taken:
        pass
    return network


def _pid_namespace(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:  # it is no more
        return None


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
