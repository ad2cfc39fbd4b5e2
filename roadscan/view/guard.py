"""Who may ask, and what a page may do: the host's name, a token, and the headers of every answer.

A page of another site can make a browser send requests here. Its scripts read no answer, as no other origin is allowed
to; with DNS rebinding they would, under another host's name, so on a loopback address only its own names are answered.
Elsewhere, whoever can reach the port can ask: there a token is demanded, which comes with the first address that is
opened and stays as a cookie that other sites' requests do not carry. Programs send it as a bearer's, or as the password
of any user; a browser does neither unless it is asked to, and it never is. What changes anything is asked for as JSON
with a header that a form cannot send.
"""

from __future__ import annotations

import base64
import ipaddress
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "roadscan"
CHANGES = "x-roadscan"  # header of what changes anything
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Around an application: answers only whom it may.

    Args:
        app: the application.
        hosts: names that a request may be for; empty for any.
        token: that a request must have; None for none.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = (), token: str | None = None) -> None:
        self._app, self._hosts, self._token = app, frozenset(hosts), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (self._refused(Request(scope)) or self._app)(scope, receive, sent)

    def _refused(self, request: Request) -> Response | None:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if self._hosts and host not in self._hosts:
            return PlainTextResponse(f"host: got {host!r}; expected {' or '.join(sorted(self._hosts))}", 421)
        if request.method not in ("GET", "HEAD") and not _from_own_page(request.headers):
            return PlainTextResponse("only the pages of this server may change anything", 403)
        if self._token is None:
            return None
        given = request.query_params.get("token")
        if given is not None and secrets.compare_digest(given.encode(), self._token.encode()):
            answer = RedirectResponse(str(request.url.remove_query_params("token").path), 303)
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return answer
        told = (request.cookies.get(COOKIE, ""), _authorized(request.headers.get("authorization", "")))
        if any(secrets.compare_digest(one.encode(), self._token.encode()) for one in told):
            return None
        return PlainTextResponse("token: missing or wrong; open the address that roadscan view printed", 401)


def _authorized(header: str) -> str:
    """The token of a header: a bearer's, or a password (RFC 6750, RFC 7617); empty where there is none.

    >>> _authorized("Bearer abc"), _authorized("Basic dXNlcjphOmI="), _authorized("Basic !"), _authorized("")
    ('abc', 'a:b', '', '')
    """
    scheme, _, told = header.partition(" ")
    if scheme.lower() == "bearer":
        return told.strip()
    try:
        return base64.b64decode(told, validate=True).decode().partition(":")[2] if scheme.lower() == "basic" else ""
    except ValueError:
        return ""


def _from_own_page(headers: Headers) -> bool:
    origin = headers.get("origin")
    same = origin is None or urlsplit(origin).netloc == headers.get("host")
    return same and CHANGES in headers and headers.get("content-type", "").startswith("application/json")
