"""The door of the service: who may ask, what may be sent, and what a browser may do with the answer."""

import hashlib
import hmac
import html
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")  # names of this machine
LEAST_TOKEN = 16  # characters
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
NO_TOKEN = "This page opens with the address that holds its token: `personsearch ui` printed it. Apps send it as Authorization: Bearer."
FIRST_VISIT = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={}"><title>personsearch</title>'


class Guard:
    """Checks each request before any route sees it.

    * The Host header must name this machine, so that a foreign page cannot reach the service under a name of its own.
    * The token comes as `Authorization: Bearer`, in the cookie, or once in the address, which sets the cookie. Compared in constant time.
    * Requests that a page of another origin makes are refused, with and without the cookie.
    * A body has at most `max_bytes`.

    Args:
        app: The application.
        token: Secret of this run.
        hosts: Names that the Host header may have, without the port.
        max_bytes: Largest body of a request.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str], max_bytes: int) -> None:
        self.app, self.token, self.max_bytes = app, token.encode(), max_bytes
        self.hosts = frozenset(host.lower() for host in hosts)
        self.cookie = f"personsearch-{hashlib.sha256(self.token).hexdigest()[:8]}"  # another server of this machine has another name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refusal(scope)
        if answer is None:
            await self.app(scope, self._bounded(receive), send_with_headers)
        else:
            await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that reaches no route."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name_of(host) not in self.hosts:
            return PlainTextResponse("this service answers under the name of this machine only", 421)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_bytes:
            return PlainTextResponse(f"the request is larger than {self.max_bytes} bytes", 413)
        bearer = headers.get("authorization", "")
        if bearer[:7].lower() == "bearer ":
            return self._of_app(headers, host) if self._is_token(bearer[7:].strip()) else self._unknown(headers)
        return self._first_visit(scope) or self._of_browser(scope, headers, host)

    def _of_app(self, headers: Headers, host: str) -> Response | None:
        """The answer to a page of another origin that knows the token; apps send no origin."""
        site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin", f"http://{host}")
        if site not in ("none", "same-origin") or origin not in (f"http://{host}", f"https://{host}"):
            return PlainTextResponse("another page sent this request", 403)
        return None

    def _of_browser(self, scope: Scope, headers: Headers, host: str) -> Response | None:
        if not self._is_token(_cookie(headers, self.cookie)):
            return self._unknown(headers)
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
        if site not in ("none", "same-origin") and not (mode == "navigate" and scope["method"] in SAFE_METHODS):
            return PlainTextResponse("another page sent this request", 403)
        if scope["method"] not in SAFE_METHODS and headers.get("origin") not in (f"http://{host}", f"https://{host}"):
            return PlainTextResponse("another page sent this request", 403)
        return None

    def _first_visit(self, scope: Scope) -> Response | None:
        """The answer to an address with the token: the cookie, and the way to the same address without the token."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in query if name == "token"]
        if scope["method"] != "GET" or len(tokens) != 1 or not self._is_token(tokens[0]):
            return None
        rest = urlencode([pair for pair in query if pair[0] != "token"])
        path = "/" + scope["path"].lstrip("/")  # two slashes would name another host
        # A redirect would not carry a strict cookie if another program opened the address; a page that leads on does.
        answer = HTMLResponse(FIRST_VISIT.format(html.escape(f"{path}?{rest}" if rest else path)))
        answer.set_cookie(self.cookie, self.token.decode(), httponly=True, samesite="strict", path="/")
        return answer

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.token)

    def _unknown(self, headers: Headers) -> Response:
        answer: Response = PlainTextResponse(NO_TOKEN, 401)
        if "text/html" in headers.get("accept", ""):
            answer = HTMLResponse(f'<!doctype html><html lang="en"><title>personsearch</title><h1>Token missing</h1><p>{NO_TOKEN}</p>', 401)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    def _bounded(self, receive: Receive) -> Receive:
        """The body, with an error as soon as it is too large; a length that is not known beforehand is counted."""
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.max_bytes:
                raise HTTPException(413, f"the request is larger than {self.max_bytes} bytes")
            return message

        return bounded


def _name_of(host: str) -> str:
    """The name in a Host header, without the port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _cookie(headers: Headers, name: str) -> str:
    try:
        cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""
