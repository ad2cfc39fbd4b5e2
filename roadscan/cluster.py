"""Joining a Ray cluster."""

from __future__ import annotations

import logging
import os

import ray


def connect() -> None:
    """Connect to the cluster of ``RAY_ADDRESS``, or start a local one that ends with this process."""
    if ray.is_initialized():
        return
    # Without an address Ray would join any cluster that happens to run on this machine.
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        # Ray's native code warns on this terminal of every pool whose restarts are bounded.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def describe(address: str) -> dict[str, float | str]:
    """What a running cluster is; starts nothing.

    Args:
        address: of its head (``host:6379``, ``ray://…``), or of its dashboard (``http://…``), which tells only `ray`.

    Returns:
        ray: its version; nodes, cpus, gpus: of those alive.
    """
    if address.startswith(("http://", "https://")):
        from ray.job_submission import JobSubmissionClient

        JobSubmissionClient(address).list_jobs()  # asks for the secret, which its version does not
        return {"ray": JobSubmissionClient(address).get_version()}
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    alive = [node for node in ray.nodes() if node["Alive"]]
    total = ray.cluster_resources()
    return {"ray": ray.__version__, "nodes": len(alive), "cpus": total.get("CPU", 0), "gpus": total.get("GPU", 0)}
