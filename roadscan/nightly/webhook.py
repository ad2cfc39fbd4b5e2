"""The webhook: a night's summary is posted to a web service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from roadscan.errors import ConfigError

VARIABLE = "ROADSCAN_WEBHOOK_URL"  # in the environment, since the address of a chat's webhook is a secret
TRIES = 3
TIMEOUT_S = 10
LOCAL = ("localhost", "127.0.0.1", "::1")


class _NoRedirect(HTTPRedirectHandler):
    """A redirect could lead from https to http, and turns a POST into a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


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
    opener = build_opener(_NoRedirect)
    request = Request(  # noqa: S310 - webhook_url let only https and this machine through
        url, json.dumps(message).encode(), {"Content-Type": "application/json", "User-Agent": "roadscan"}
    )
    reason = ""
    for number in range(TRIES):
        if number:
            pause(2.0**number)
        try:
            with opener.open(request, timeout=TIMEOUT_S):
                return None
        except HTTPError as error:
            reason = f"it answered {error.code}"
            if error.code != 429 and error.code < 500:
                break
        except OSError as error:  # URLError, time-outs, broken connections
            reason = f"it did not answer ({type(getattr(error, 'reason', error)).__name__})"
        except (HTTPException, ValueError) as error:
            reason = f"its address or its answer is not HTTP ({type(error).__name__})"
            break
    return f"the webhook of {VARIABLE} was not told: {reason}"
