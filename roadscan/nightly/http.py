"""One request to a service that is told of a night: tried again while it is busy, and never a reason to fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from roadscan.timely import in_time

HTTP = ("http://", "https://")
TRIES = 3
TIMEOUT_S = 10  # of a connection, and of each part of an answer
DEADLINE_S = 30.0  # of a request, however its answer comes


class _NoRedirect(HTTPRedirectHandler):
    """A redirect could lead from https to http, and turns a POST into a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


def send(
    url: str, data: bytes, content_type: str, *, method: str = "POST", pause: Callable[[float], None] = time.sleep
) -> str | None:
    """Send bytes; a service that is busy or does not answer is asked again, twice.

    Args:
        url: http or https; the caller has looked at it.
        data: the body.
        content_type: of the body.
        method: of the request.
        pause: waits for so many seconds.

    Returns:
        None when they were taken, otherwise why not, without the address.
    """
    headers = {"Content-Type": content_type, "User-Agent": "roadscan"}
    ask = partial(_ask, Request(url, data, headers, method=method))  # noqa: S310 - see url
    reason = ""
    for number in range(TRIES):
        if number:
            pause(2.0**number)
        try:
            return in_time(ask, DEADLINE_S)
        except HTTPError as error:
            reason = f"it answered {error.code}"
            if error.code != 429 and error.code < 500:
                break
        except OSError as error:  # URLError, time-outs, broken connections
            reason = f"it did not answer ({type(getattr(error, 'reason', error)).__name__})"
        except (HTTPException, ValueError) as error:
            reason = f"its address or its answer is not HTTP ({type(error).__name__})"
            break
    return reason


def _ask(request: Request) -> None:
    with build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S):
        return
