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
