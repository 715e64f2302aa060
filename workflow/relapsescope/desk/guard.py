"""Who may speak to the desk: a browser on this machine that was given the start-up line's token.

Other pages in the same browser can send requests to any local port. They know neither the token
nor the form's own, cannot set the origin, and a name of theirs that leads here is no host of ours.
"""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from aiohttp import web

MOST_SESSIONS = 100
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` browsers send no origin with a form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
AGAIN = "Open the address that the desk printed when it was started, with its token."

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """The desk's token, and the sessions that were opened with it."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._form_tokens: OrderedDict[str, str] = OrderedDict()

    def open_session(self, token: str) -> str:
        """Return a new session's secret, "" where the token is another."""
        if not same(token, self.token):
            return ""
        session = secrets.token_urlsafe(32)
        self._form_tokens[session] = secrets.token_urlsafe(32)
        while len(self._form_tokens) > MOST_SESSIONS:
            self._form_tokens.popitem(last=False)
        return session

    def form_token(self, session: str) -> str:
        """Return what a session's forms must send along, "" where there is no such session."""
        return self._form_tokens.get(session, "")


GUARD = web.AppKey("guard", Guard)
FORM_TOKEN = web.RequestKey("form_token", str)


def same(given: str, expected: str) -> bool:
    """Return whether two secrets are equal, in a time that does not depend on where they differ."""
    return bool(expected) and secrets.compare_digest(given.encode(), expected.encode())


def port_of(request: web.Request) -> int:
    """Return the port that a request came in by; 0 once its connection is gone."""
    return request.transport.get_extra_info("sockname")[1] if request.transport else 0


def cookie_name(request: web.Request) -> str:
    """Return the session cookie's name: browsers share cookies between the ports of a host."""
    return f"relapsescope_desk_{port_of(request)}"


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what does not come from a page of ours; say in every answer what pages may do."""
    try:
        response = await _admitted(request, handler)
    except web.HTTPException as answer:
        answer.headers.update(HEADERS)
        raise
    if not response.prepared:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
    return response


async def _admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    hosts = [f"{name}:{port_of(request)}" for name in ("127.0.0.1", "localhost")]
    named = request.headers.getall("Host", [])
    if len(named) != 1 or named[0] not in hosts:
        raise web.HTTPForbidden(text=f"This desk answers to http://{hosts[0]} only.")
    guard = request.app[GUARD]
    if request.method == "GET" and "token" in request.query:
        return _enter(request, guard)
    form_token = guard.form_token(request.cookies.get(cookie_name(request), ""))
    if not form_token:
        raise web.HTTPForbidden(text=AGAIN)
    ours = request.headers.getall("Origin", []) == [f"http://{named[0]}"]
    if request.method not in ("GET", "HEAD") and not ours:
        raise web.HTTPForbidden(text="This came from another page; use the desk's own.")
    request[FORM_TOKEN] = form_token
    return await handler(request)


def _enter(request: web.Request, guard: Guard) -> web.Response:
    """Open a session and lead to the page without the token, which then stands in no history."""
    session = guard.open_session(request.query["token"])
    if not session:
        raise web.HTTPForbidden(text=AGAIN)
    known = request.cookies.get(cookie_name(request), "")
    if guard.form_token(known):
        # A second tab: the forms of the first go on.
        session = known
    answer = web.Response(status=303, headers={"Location": "/"})
    answer.set_cookie(cookie_name(request), session, httponly=True, samesite="Strict", path="/")
    return answer


def check_form_token(request: web.Request, given: str) -> None:
    """Refuse a request whose form does not bear its session's token."""
    if not same(given, request[FORM_TOKEN]):
        raise web.HTTPForbidden(text="This form is not the desk's; reload the page.")
