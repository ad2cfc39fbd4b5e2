"""What other programs need to open a table of a warehouse at its address."""

from __future__ import annotations

import os


def engine_options(uri: str) -> dict[str, str] | None:
    """What an engine with an S3 client of its own (delta-rs) needs for the environment's server; None for a disk."""
    if not uri.startswith("s3://"):
        return None
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    endpoint = {"AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL_S3"], "AWS_ALLOW_HTTP": "true"}
    return endpoint | {name: os.environ[name] for name in names}
