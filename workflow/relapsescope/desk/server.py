"""The desk's web server: what it answers, the round that it makes of the inbox, its end."""

import asyncio
import contextlib
import errno
import fcntl
import logging
import shutil
import signal
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.resources import files
from pathlib import Path

from aiohttp import BadContentDispositionHeader, BadContentDispositionParam, web
from aiohttp.http_exceptions import HttpProcessingError

from relapsescope.desk.guard import FORM_TOKEN, GUARD, Guard, check_form_token, guarded
from relapsescope.desk.uploads import (
    FIELDS,
    TOKEN,
    Limits,
    clear_stages,
    first_text,
    put_in,
    receive,
    stage_in,
)
from relapsescope.desk.view import State, Study, fragment, page, state_of
from relapsescope.errors import InputProblem
from relapsescope.report.policy import asset, page_policy
from relapsescope.submissions.inbox import READY, found_in, submissions, work_through
from relapsescope.submissions.preview import preview

HOST = "127.0.0.1"
ROUND_S = 10.0
"""Seconds between two looks at what somebody else put there."""
MOST_BODY = 2 * 2**20
"""Bytes of a list of names; files are not bound by it."""
STOP_S = 2.0
LOCK = ".desk.lock"
SERVED = {".html": "text/html", ".md": "text/plain"}
ASSETS = {
    "desk.css": ("text/css", lambda: asset("page.css") + _own("desk.css")),
    "desk.js": ("text/javascript", lambda: _own("desk.js")),
}


class Desk:
    """A study's desk: its folders, its limits, and who is at work on the inbox."""

    def __init__(self, study: Study, limits: Limits) -> None:
        self.study, self.limits = study, limits
        self.n_uploads = 0
        self.trouble: tuple[str, ...] = ()
        self._at_work = asyncio.Lock()

    async def work(self) -> None:
        """Enter or refuse what is finished in the inbox; keep why that cannot be done."""
        study = self.study
        async with self._at_work:
            try:
                await asyncio.to_thread(work_through, study.inbox, study.sheet)
                self.trouble = ()
            except InputProblem as problem:
                self.trouble = tuple(problem.problems)
            except Exception as error:
                # Whatever it is, the desk goes on, and those who wait are told.
                self.trouble = (f"the inbox cannot be worked through: {error}",)

    async def rounds(self) -> None:
        """Look at the inbox again and again, for what waits."""
        while True:
            with contextlib.suppress(OSError):
                if any((folder / READY).exists() for folder in submissions(self.study.inbox)):
                    await self.work()
            await asyncio.sleep(ROUND_S)

    async def state(self) -> State:
        """Return what there is to see now."""
        return await asyncio.to_thread(state_of, self.study, trouble=self.trouble)

    def size_problems(self, n_files: int, n_bytes: int) -> list[str]:
        """Return why a submission of this size is not taken."""
        free = shutil.disk_usage(self.study.inbox).free
        return self.limits.problems(n_files, n_bytes, free)


DESK = web.AppKey("desk", Desk)


def application(study: Study, limits: Limits, guard: Guard) -> web.Application:
    """Return the desk as a web application."""
    app = web.Application(middlewares=[guarded], client_max_size=MOST_BODY)
    app[GUARD] = guard
    app[DESK] = Desk(study, limits)
    app.add_routes(
        [
            web.get("/", show_page),
            web.get("/state", show_state),
            web.post("/look", look),
            web.post("/submit", take),
            web.get("/assets/{name}", show_asset),
            web.get("/report/{path:.+}", show_report),
        ]
    )
    app.cleanup_ctx.append(_rounds)
    return app


async def _rounds(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[DESK].rounds())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def show_page(request: web.Request) -> web.Response:
    """Answer with the page."""
    state = await request.app[DESK].state()
    return web.Response(text=page(request[FORM_TOKEN], state), content_type="text/html")


async def show_state(request: web.Request) -> web.Response:
    """Answer with the part of the page that changes by itself."""
    return web.Response(text=fragment(await request.app[DESK].state()), content_type="text/html")


async def show_asset(request: web.Request) -> web.Response:
    """Answer with a style or a script of the page."""
    found = ASSETS.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound(text="There is no such file.")
    return web.Response(text=found[1](), content_type=found[0])


async def look(request: web.Request) -> web.Response:
    """Say which of the chosen files are needed and what is wrong already, before any is sent."""
    desk = request.app[DESK]
    try:
        asked = await request.json()
        check_form_token(request, str(asked[TOKEN]))
        names = [str(name) for name in asked["names"]]
        sizes = [int(size) for size in asked["sizes"]]
        told = {key: str(value).strip() for key, value in asked["told"].items() if key in FIELDS}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise web.HTTPBadRequest(text="This is no question of the desk's page.") from None
    if len(names) != len(sizes) or min(sizes, default=0) < 0:
        raise web.HTTPBadRequest(text="This is no question of the desk's page.")
    try:
        seen = await asyncio.to_thread(preview, names, told, desk.study.sheet)
    except InputProblem as problem:
        return web.json_response({"needed": [], "problems": list(problem.problems)})
    n_bytes = sum(sizes[number] for number in seen.needed)
    problems = [*seen.problems, *desk.size_problems(len(seen.needed), n_bytes)]
    return web.json_response({"needed": list(seen.needed), "problems": problems})


async def take(request: web.Request) -> web.Response:
    """Take a submission in and say what became of it."""
    desk = request.app[DESK]
    try:
        name = await _taken(request, desk)
    except InputProblem as problem:
        return await _answer(request, list(problem.problems))
    await desk.work()
    found = {one.name: one for one in await asyncio.to_thread(found_in, desk.study.inbox)}
    one = found.get(name)
    if not _wants_json(request):
        raise web.HTTPSeeOther("/#queue")
    state, lines = (one.state, list(one.lines)) if one else ("handled", [])
    return web.json_response({"name": name, "state": state, "lines": lines})


async def _taken(request: web.Request, desk: Desk) -> str:
    """Return the name in the inbox of what a request brings."""
    try:
        parts = await request.multipart()
    except (ValueError, AssertionError):
        raise web.HTTPBadRequest(text="This is no form of the desk.") from None
    check_form_token(request, await first_text(parts, TOKEN, desk.limits))
    if problems := desk.size_problems(0, request.content_length or 0):
        raise InputProblem(*problems)
    if desk.n_uploads >= desk.limits.at_once:
        raise InputProblem("others are sending files; try again in a few minutes")
    desk.n_uploads += 1
    try:
        with stage_in(desk.study.inbox) as stage:
            answers = await receive(parts, stage, desk.limits)
            return put_in(stage, desk.study.inbox, answers)
    except OSError as error:
        raise InputProblem(f"the inbox cannot be written ({error.strerror})") from None
    finally:
        desk.n_uploads -= 1


async def _answer(request: web.Request, problems: list[str]) -> web.Response:
    """Answer with problems: as data for the page's script, else as the page itself."""
    if _wants_json(request):
        return web.json_response({"problems": problems}, status=400)
    state = await request.app[DESK].state()
    text = page(request[FORM_TOKEN], state, problems=problems)
    return web.Response(text=text, content_type="text/html", status=400)


def _wants_json(request: web.Request) -> bool:
    return request.headers.get("Accept", "") == "application/json"


async def show_report(request: web.Request) -> web.Response:
    """Answer with a page of the run's report; nothing else of the results is shown."""
    home = (request.app[DESK].study.results / "report").resolve()
    try:
        path = (home / request.match_info["path"]).resolve()
        inside = path.is_relative_to(home) and path.suffix in SERVED and path.is_file()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise web.HTTPNotFound(text="There is no such page; the run has not made it yet.")
    text = await asyncio.to_thread(path.read_text, encoding="utf-8", errors="replace")
    headers = {"Content-Security-Policy": f"{page_policy()}; frame-ancestors 'none'"}
    return web.Response(text=text, content_type=SERVED[path.suffix], headers=headers)


def _own(name: str) -> str:
    return files("relapsescope.desk").joinpath("assets", name).read_text(encoding="utf-8")


def serve(study: Study, limits: Limits, port: int, *, tell: Callable[[str], None]) -> None:
    """Serve a desk on this machine until it is told to end (Ctrl-C, SIGTERM).

    Parameters
    ----------
    port
        0 takes a free one.
    tell
        Is given the address with its token once the desk answers.

    Raises
    ------
    InputProblem
        Where the port is in use, or the inbox is not there or served by another desk.
    """
    with _alone(study.inbox):
        clear_stages(study.inbox)
        asyncio.run(_serve(study, limits, port, tell))


@contextlib.contextmanager
def _alone(inbox: Path) -> Iterator[None]:
    """Keep other desks from an inbox: each clears away the stages of its forerunners."""
    if not inbox.is_dir():
        raise InputProblem(f"{inbox}: there is no such folder; make it, or correct the path")
    try:
        handle = open(inbox / LOCK, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise InputProblem(f"{inbox}: cannot be written ({error.strerror})") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputProblem(f"{inbox}: another desk serves it; use that one") from None
        yield


async def _serve(study: Study, limits: Limits, port: int, tell: Callable[[str], None]) -> None:
    guard = Guard()
    app = application(study, limits, guard)
    # A form's header that cannot be read is a broken form, not a thing to warn of.
    for broken in (BadContentDispositionHeader, BadContentDispositionParam):
        warnings.simplefilter("error", broken)
    logger = logging.getLogger(__name__)
    logger.addFilter(_in_one_line)
    runner = web.AppRunner(app, access_log=None, logger=logger, shutdown_timeout=STOP_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise InputProblem(f"--port {port}: in use or not yours; give another") from None
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, ended.set)
        bound = runner.addresses[0][1]
        tell(f"http://{HOST}:{bound}/?token={guard.token}")
        await ended.wait()
    finally:
        await runner.cleanup()


def _in_one_line(record: logging.LogRecord) -> bool:
    """Shorten what failed to its kind and words; pass over what is no request of a browser."""
    failed = record.exc_info[1] if record.exc_info else None
    if isinstance(failed, HttpProcessingError):
        return False
    if failed is not None:
        record.msg, record.args = f"desk: {type(failed).__name__}: {failed}", ()
        record.exc_info = record.exc_text = None
    return True
