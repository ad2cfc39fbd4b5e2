"""The webhook: a night's summary is posted to a web service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from roadscan.errors import ConfigError
from roadscan.nightly.http import send

VARIABLE = "ROADSCAN_WEBHOOK_URL"  # in the environment, since the address of a chat's webhook is a secret
LOCAL = ("localhost", "127.0.0.1", "::1")


def webhook_url(environment: Mapping[str, str]) -> str | None:
    """Environment -> the address to post to; None where none is set.

    Raises:
        ConfigError: it is neither https nor on this machine. The message does not repeat it.
    """
    url = environment.get(VARIABLE)
    if not url:
        return None
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL)
    except ValueError:
        secure = False
    if not secure or not parts.hostname:
        raise ConfigError(f"{VARIABLE}: got another kind of address; expected https://…, or http://localhost…")
    return url


def post(url: str, message: Mapping[str, Any], pause: Callable[[float], None] = time.sleep) -> str | None:
    """Post JSON; a service that is busy or does not answer is asked again, twice.

    Returns:
        None when it was taken, otherwise why not, without the address.
    """
    reason = send(url, json.dumps(message).encode(), "application/json", pause=pause)
    return reason and f"the webhook of {VARIABLE} was not told: {reason}"
