"""The Ray cluster of ``RAY_ADDRESS``, and the secret that it asks for."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from roadscan.cluster import unreachable
from roadscan.doctor.finding import Finding
from roadscan.parsing import read_json

JOIN_S = 25
OTHERS_READ = 0o004  # a group may: mounted secrets belong to one
ASK_RAY = "import json, sys; from roadscan.cluster import describe; print(json.dumps(describe(sys.argv[1])))"


def address() -> str | None:
    """The cluster's address; None where jobs start Ray on this machine alone."""
    given = os.environ.get("RAY_ADDRESS", "")
    return None if given in ("", "local") else given


def token() -> Finding:
    """The secret that a cluster asks for. Without one, whoever reaches its ports runs code on it (CVE-2023-48022)."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        if address() is None:
            return Finding("token", "ok", "no cluster to authenticate to")
        found = f"RAY_AUTH_MODE is {os.environ.get('RAY_AUTH_MODE') or 'not set'}, so none is sent to {address()}"
        return Finding("token", "warn", found, "start the cluster and this program with RAY_AUTH_MODE=token")
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Finding("token", "ok", "from RAY_AUTH_TOKEN")
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    try:
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        secret, reason = "", f"{path} cannot be read ({error})"
    else:
        reason = f"{path} is empty"
    if not secret:
        advice = "ray get-auth-token --generate on the head; bring it here, or set RAY_AUTH_TOKEN_PATH"
        return Finding("token", "fail", reason, advice) if address() else Finding("token", "ok", "Ray will make one")
    if path.stat().st_mode & OTHERS_READ:
        return Finding("token", "warn", f"{path} can be read by everyone", f"chmod 600 {path}")
    return Finding("token", "ok", str(path))


def ray_cluster() -> Finding:
    """The cluster, asked by a process of its own: Ray's native code may end it, and says why on stderr alone."""
    where = address()
    if where is None:
        return Finding("ray", "ok", "RAY_ADDRESS is not set: jobs start a cluster of this machine alone")
    refused = unreachable(where)
    if refused:
        return Finding("ray", "fail", f"{where}: {refused}", "is the head up, and the address reachable from here?")
    try:
        answer = subprocess.run(
            [sys.executable, "-c", ASK_RAY, where], capture_output=True, text=True, timeout=JOIN_S, check=False,
            env={**os.environ, "RAY_NUM_REDIS_GET_RETRIES": "4"},  # a second each; Ray's own 20 outlast our patience
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode(errors="replace")
        return explained(where, said or f"no answer in {JOIN_S} s")
    if answer.returncode:
        return explained(where, answer.stderr)
    return described(where, read_json(answer.stdout.splitlines()[-1]))


def explained(where: str, said: str) -> Finding:
    """The failure, from what the joining process said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["no reason given"]
    if any("Unauthenticated" in line or "AuthenticationError" in line for line in lines):
        found = f"{where}: the cluster refused the token"
        return Finding("ray", "fail", found, "give this program the head's own token, and RAY_AUTH_MODE=token")
    if "Version mismatch" in said:
        facts = " ".join(said.partition("Version mismatch:")[2].split())
        return Finding("ray", "fail", f"{where}: {facts}", "use the same Ray and Python on both sides, to the patch")
    return Finding("ray", "fail", f"{where}: {lines[-1]}", "see the head's log; compare address, token and versions")


def described(where: str, facts: dict[str, float | str]) -> Finding:
    """What the cluster is. One that can be joined has the same Ray and Python: Ray refuses others."""
    if facts["ray"] != version("ray"):
        advice = f"install ray {facts['ray']} here, or {version('ray')} there"
        return Finding("ray", "fail", f"{where} runs ray {facts['ray']}, here is {version('ray')}", advice)
    if "nodes" not in facts:
        return Finding("ray", "ok", f"{where}: takes jobs, ray {facts['ray']}")
    nodes = f"{facts['nodes']} nodes, {facts['cpus']:g} cores, {facts['gpus']:g} GPUs"
    return Finding("ray", "ok", f"{where}: ray {facts['ray']}, Python {platform.python_version()}; {nodes}")
