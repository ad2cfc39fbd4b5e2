"""The connection to a Ray cluster. Ray itself is imported late: an address can be tried where there is no Ray."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from roadscan.errors import ClusterError, ConfigError
from roadscan.nodes import Node
from roadscan.scratch import Scratch
from roadscan.termination import handle_again

LOCAL = "local"
DASHBOARD = ("http://", "https://")
PORTS = {"http": 80, "https": 443, "ray": 10001}
CONNECT_S = 5
HEAD = "node:__internal_head__"  # the resource that Ray gives to the head alone
GROUP = "ray.io/node-group"  # the label
#: Bytes of a path in which Ray can have its folder: a socket's name has 107 on Linux, of which 26 are
#: /roadscan-ray-…/ray, 43 /session_<date>_<time>_<process> and 21 /sockets/plasma_store.
LONGEST_FOLDER = 107 - 26 - 43 - 21
JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # the name itself, which Ray gives to the driver of a submitted job


def is_local() -> bool:
    """Whether work is to be done on this machine alone: no cluster is named, and none has been joined."""
    if os.environ.get("RAY_ADDRESS", LOCAL) != LOCAL:
        return False
    ray = sys.modules.get("ray")
    return ray is None or not ray.is_initialized()


def connect() -> None:
    """Connect to the cluster of ``RAY_ADDRESS``, or start a local one that ends with this process.

    Raises:
        ClusterError: no cluster can be joined there.
    """
    # Without an address Ray would join any cluster that happens to run on this machine.
    address = os.environ.get("RAY_ADDRESS", LOCAL)
    alone = _for_this_process_alone() if is_local() else {}
    import ray

    if ray.is_initialized():
        return
    if address.startswith(DASHBOARD):
        raise ClusterError(
            f"RAY_ADDRESS: got {address}, which takes submitted jobs; expected the head's own address, such as"
            " 10.0.0.1:6379. Submit this with 'ray job submit', or unset it to work on this machine alone"
        )
    if refused := unreachable(address):
        raise ClusterError(f"RAY_ADDRESS {address}: {refused}; is the head up, and reachable from here?")
    try:
        # Elsewhere Ray may abort, and say why there alone.
        with _without_log_level_line() if address == LOCAL else nullcontext():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **alone)
        handle_again()
    except Exception as error:  # where the machine is busy, Ray raises that very class
        reason = " ".join(str(error).split())
        hint = f"; {token_hint(os.environ)}" if "Failed to connect" in reason else ""
        raise ClusterError(f"RAY_ADDRESS {address}: {reason}{hint}; 'roadscan doctor' looks closer") from error


def _for_this_process_alone() -> dict[str, Any]:
    """Arguments of `ray.init` for a Ray that only this process may use, and that leaves nothing; sets its environment.

    It listens on the loopback alone where ``ray`` is imported after this, asks for a token of its own, and writes into
    a folder that goes with this process.
    """
    # Ray's native code warns on this terminal of every pool whose restarts are bounded.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # It looks out for machines that a cloud is about to take back: a process for nothing here.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    # It would tell its makers over the internet, once an hour, how it is used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # On any system: with "0" a node's address is that of the loopback, and its servers listen there and nowhere else.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    folder = _ray_folder()
    if "RAY_AUTH_TOKEN" not in os.environ:  # Ray itself turns the mode on, unless RAY_AUTH_MODE says otherwise
        token = folder.path / "auth_token"
        token.write_text(secrets.token_hex(32))
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    # A dashboard, whose address nobody is told and which ends with this process, is half a dozen processes.
    return {"include_dashboard": False, "_temp_dir": str(folder.path / "ray")}  # which Ray opens to all


@lru_cache
def _ray_folder() -> Scratch:
    """Where Ray keeps its sockets and logs until this process ends.

    It is in ``RAY_TMPDIR``, or else in the folder for temporary files, if its sockets can have a name there.
    """
    given = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    given.mkdir(parents=True, exist_ok=True)
    return Scratch("ray", given if len(os.fsencode(given)) <= LONGEST_FOLDER else Path("/tmp"))  # noqa: S108 - 0700


@contextmanager
def _without_log_level_line() -> Iterator[None]:
    """Drop the line by which Ray's native code confirms its log level: it would cut a progress bar in two."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if b"Set ray log level" not in line:
                    os.write(2, line)


def nodes() -> list[Node]:
    """The nodes that are alive, once `connect` has joined them."""
    return [Node(offer.get("CPU", 0), offer.get("GPU", 0)) for offer in offers()]


class NodeKind(NamedTuple):
    """What a node is, for who pays for it.

    Attributes:
        kind: ``head``, or the name of its group of workers.
        works: whether it lends cores or GPUs to jobs.
    """

    kind: str
    works: bool


def node_kinds() -> list[NodeKind] | None:
    """The kind of each node that is alive; of this machine alone, where there is no cluster, ``head``.

    Groups are those that KubeRay or ``ray up`` starts nodes by; a worker that was started by hand is of the group
    ``worker``. None where a cluster is named and not joined yet, or does not answer.
    """
    if is_local():
        return [NodeKind("head", works=True)]
    import ray

    if not ray.is_initialized():
        return None
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
    except (RuntimeError, ConnectionError, ray.exceptions.RayError):
        return None
    return [
        NodeKind(
            "head" if HEAD in node["Resources"] else node["Labels"].get(GROUP) or "worker",
            works=any(node["Resources"].get(name) for name in ("CPU", "GPU")),
        )
        for node in alive
    ]


def offers() -> list[dict[str, float]]:
    """What each node that is alive lends, by Ray's names of resources."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def free() -> dict[str, float]:
    """Cores and GPUs that nothing on the cluster holds."""
    import ray

    return {name: count for name, count in ray.available_resources().items() if name in ("CPU", "GPU")}


def last_line(error: BaseException) -> str:
    """Ray's error -> what it says in the end, after its tracebacks; its type where it says nothing."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def grows() -> bool:
    """Whether nodes may still join: not where `connect` has started Ray for this process alone."""
    return os.environ.get("RAY_ADDRESS", LOCAL) != LOCAL


def token_hint(environment: Mapping[str, str]) -> str:
    """Environment -> what to look at where a cluster lets nobody in: Ray itself does not say that it is the token."""
    if environment.get("RAY_AUTH_MODE", "").lower() != "token":
        return (
            "no token was sent, as RAY_AUTH_MODE is not set; 'ray start' asks for one wherever it finds "
            "~/.ray/auth_token, which Ray makes by itself: export RAY_AUTH_MODE=token, with the head's own token"
        )
    return (
        "RAY_AUTH_MODE=token sent the token of RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token; is it the "
        "head's own, and was the head started in that mode?"
    )


def refuse_lost_outputs(outputs: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Refuse outputs that a submitted job would write into its copy of the working directory, which goes with the job.

    Args:
        outputs: addresses by the field that has them.
        environment: of the process, where Ray says what it was submitted with.

    Raises:
        ConfigError: one of them is a relative path there.
    """
    job = json.loads(environment.get(JOB_CONFIG, "{}"))
    if "working_dir" not in (job.get("runtime_env") or {}):
        return
    for field, address in outputs.items():
        if "://" not in address and not Path(address).expanduser().is_absolute():
            raise ConfigError(
                f"{field}: got {address}, in a job that was submitted with a working directory: it would be written "
                "into a temporary copy of that, and be gone with the job; expected s3://…, or an absolute path on a "
                "disk that all nodes share"
            )


def unreachable(address: str) -> str | None:
    """An address -> why no connection can be made, in seconds, where Ray itself would try for a quarter of an hour.

    Returns:
        None where one can be made, and where Ray must look for the cluster (``auto``, ``local``).
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port or PORTS.get(parts.scheme)
    except ValueError as error:
        return str(error)
    if host is None or port is None:
        return None
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        return f"no connection ({error})"
    return None


def describe(address: str) -> dict[str, float | str]:
    """An address -> what the cluster there is; starts nothing.

    Args:
        address: of its head (``host:6379``, ``ray://…``), or of its dashboard (``http://…``), which tells only `ray`.

    Returns:
        ray: its version; nodes, cpus, gpus: of those alive.
    """
    if address.startswith(DASHBOARD):
        from ray.job_submission import JobSubmissionClient

        JobSubmissionClient(address).list_jobs()  # asks for the secret, which its version does not
        return {"ray": JobSubmissionClient(address).get_version()}
    import ray

    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    alive = [node for node in ray.nodes() if node["Alive"]]
    total = ray.cluster_resources()
    return {"ray": ray.__version__, "nodes": len(alive), "cpus": total.get("CPU", 0), "gpus": total.get("GPU", 0)}
