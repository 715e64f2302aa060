"""The desk without a browser: who is answered, what is taken in, what is shown, how it ends."""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from relapsescope.desk import server
from relapsescope.desk.guard import MOST_SESSIONS, POLICY, Guard
from relapsescope.desk.server import application
from relapsescope.desk.uploads import Limits, clear_stages
from relapsescope.desk.view import Study, fragment, run_words, state_of
from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import read_sheet
from relapsescope.run.places import LOCK
from relapsescope.run.progress import run_progress
from relapsescope.submissions.inbox import found_in, work_through
from relapsescope.submissions.preview import inner_path, preview
from yarl import URL

from ..cohorts.submitted_matrix import FILTERED, matrix

TOLD = {"patient_id": "P1", "timepoint": "relapse", "day": "370"}
FORM_TOKEN = re.compile(r'name="token" value="([^"]+)"')


@pytest.fixture
def study(tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "study").mkdir()
    return Study(tmp_path / "inbox", tmp_path / "study/samples.tsv", tmp_path / "results")


@pytest.fixture
def counts(tmp_path):
    return matrix(tmp_path / "outs" / FILTERED).read_bytes()


class Visitor:
    """A browser that entered a desk with its token."""

    def __init__(self, client, guard):
        self.client, self.guard = client, guard
        self.origin = f"http://127.0.0.1:{client.port}"
        self.token = ""

    async def enter(self):
        page = await (await self.client.get("/", params={"token": self.guard.token})).text()
        self.token = FORM_TOKEN.search(page)[1]
        return self

    def form(self, files, told=TOLD, *, token=None, whole=True):
        form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        form.add_field("token", self.token if token is None else token)
        for name, value in told.items():
            form.add_field(name, value)
        for name, content in files:
            form.add_field("file", content, filename=name, content_type="application/x-hdf5")
        if whole:
            form.add_field("whole", "yes")
        return form

    async def send(self, files, told=TOLD, *, headers=None, **form):
        answer = await self.client.post(
            "/submit",
            data=self.form(files, told, **form),
            headers={"Origin": self.origin, "Accept": "application/json"} | (headers or {}),
        )
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type.endswith("json") else text

    async def look(self, names, told=TOLD, sizes=None, token=None):
        asked = {
            "token": self.token if token is None else token,
            "names": names,
            "sizes": [10] * len(names) if sizes is None else sizes,
            "told": told,
        }
        answer = await self.client.post("/look", json=asked, headers={"Origin": self.origin})
        return answer.status, await answer.text()


def at_desk(study, talk, limits=None):
    """Open a desk, let a visitor enter and talk with it, and return what `talk` returns."""

    async def visit():
        guard = Guard()
        app = application(study, limits or Limits(), guard)
        async with TestClient(TestServer(app, host="127.0.0.1")) as client:
            return await talk(await Visitor(client, guard).enter())

    return asyncio.run(visit())


def lying_in(inbox):
    """Return what an inbox holds beside its locks."""
    return sorted(path.name for path in inbox.iterdir() if not path.name.endswith("lock"))


# Who is answered


@pytest.mark.parametrize("path", ["/", "/state", "/assets/desk.js", "/report/index.html", "/x"])
def test_without_the_token_nothing_is_shown(study, path):
    async def talk(visitor):
        visitor.client.session.cookie_jar.clear()
        answers = [await visitor.client.get(path)]
        answers.append(await visitor.client.get(path, params={"token": "guessed"}))
        answers.append(await visitor.client.get(path, params={"token": ""}))
        return [(one.status, await one.text()) for one in answers]

    for status, text in at_desk(study, talk):
        assert status == 403
        assert "started, with its token" in text


def test_the_token_is_changed_for_a_cookie_that_no_script_and_no_other_site_has(study):
    async def talk(visitor):
        entered = await visitor.client.get(
            "/", params={"token": visitor.guard.token}, allow_redirects=False
        )
        page = await visitor.client.get("/")
        return entered, await page.text(), visitor.guard.token, page.headers

    entered, page, token, headers = at_desk(study, talk)
    assert (entered.status, entered.headers["Location"]) == (303, "/")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert token not in cookie and token not in page
    assert headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert entered.headers["Referrer-Policy"] == "same-origin"


def test_a_name_that_leads_here_is_no_host_of_ours(study):
    async def talk(visitor):
        port = visitor.client.port
        named = ("evil.example", f"evil.example:{port}", f"127.0.0.1:{port}.evil.example", "")
        refused = [await visitor.client.get("/", headers={"Host": name}) for name in named]
        return [one.status for one in refused], (await visitor.client.get("/")).status

    assert at_desk(study, talk) == ([403] * 4, 200)


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
def test_another_page_cannot_send(study, counts, origin):
    async def talk(visitor):
        headers = {} if origin is None else {"Origin": origin}
        sent = await visitor.client.post(
            "/submit", data=visitor.form([(FILTERED, counts)]), headers=headers
        )
        looked = await visitor.client.post("/look", json={}, headers=headers)
        return sent.status, looked.status

    assert at_desk(study, talk) == (403, 403)
    assert lying_in(study.inbox) == []


def test_a_form_without_the_sessions_own_token_is_refused(study, counts):
    async def talk(visitor):
        other = Guard()
        sent = [
            await visitor.send([(FILTERED, counts)], token=token)
            for token in ("", "guessed", visitor.guard.token, other.token)
        ]
        looked = await visitor.look([FILTERED], token="guessed")
        mine = visitor.token
        visitor.client.session.cookie_jar.clear()
        await visitor.enter()
        # A form of a session before this one.
        old = await visitor.send([(FILTERED, counts)], token=mine)
        return [status for status, _ in (*sent, looked, old)]

    assert at_desk(study, talk) == [403] * 6
    assert lying_in(study.inbox) == []


def test_sessions_are_few():
    guard = Guard()
    sessions = [guard.open_session(guard.token) for _ in range(MOST_SESSIONS + 1)]
    assert guard.form_token(sessions[0]) == ""
    assert guard.form_token(sessions[-1]) != guard.form_token(sessions[-2]) != ""


# What is taken in


def test_a_sample_is_taken_and_entered(study, counts):
    async def talk(visitor):
        sent = await visitor.send([(f"outs/{FILTERED}", counts), (".DS_Store", b"x")])
        return sent, await (await visitor.client.get("/state")).text()

    (status, said), shown = at_desk(study, talk)
    assert (status, said["state"]) == (200, "accepted"), said
    (library,) = read_sheet(study.sheet)
    assert (library.sample_id, library.patient_id, library.day) == ("P1_relapse_d370", "P1", 370)
    assert library.matrix.read_bytes() == counts
    assert library.matrix.resolve().is_relative_to((study.inbox / "accepted").resolve())
    assert lying_in(study.inbox) == ["accepted"]
    assert "P1_relapse_370" in shown and "P1_relapse_d370: entered" in shown
    assert "waits for the next run" in shown


def test_what_is_refused_is_told_in_lines(study, counts):
    async def talk(visitor):
        bad = await visitor.send([(FILTERED, b"no matrix")], TOLD | {"day": "-3"})
        form = visitor.form([(FILTERED, counts)], {"patient_id": "P2", "timepoint": "relapse"})
        plain = await visitor.client.post("/submit", data=form, headers={"Origin": visitor.origin})
        return bad, plain.history[0].headers["Location"], await plain.text()

    (status, said), location, page = at_desk(study, talk)
    assert (status, said["state"]) == (200, "refused")
    assert "day -3 is before the infusion" in " ".join(said["lines"])
    assert str(study.inbox) not in page
    # Without a script the page itself answers.
    assert location == "/#queue"
    assert page.count("P2_relapse") >= 2
    assert [one.state for one in found_in(study.inbox)] == ["accepted", "refused"]


def test_the_same_marrow_twice_is_recognised(study, counts):
    async def talk(visitor):
        sent = [
            await visitor.send([(FILTERED, counts)], TOLD | told) for told in ({}, {"day": "9"})
        ]
        # Loose files of a 10x folder are compared without what the desk adds.
        return sent

    (_, first), (_, second) = at_desk(study, talk)
    assert first["state"] == "accepted"
    assert "the same counts as sample P1_relapse_d370" in second["lines"][0]


def test_two_people_at_once_get_their_own(study, counts, tmp_path):
    other = matrix(tmp_path / "b" / FILTERED, seed=2).read_bytes()

    async def talk(visitor):
        second = await Visitor(visitor.client, visitor.guard).enter()
        third = await Visitor(visitor.client, visitor.guard).enter()
        # Two tabs of one browser: who enters again keeps the session that is there.
        assert second.token == third.token
        return await asyncio.gather(
            second.send([(FILTERED, counts)]), third.send([(FILTERED, other)], {**TOLD, "day": "9"})
        )

    said = at_desk(study, talk)
    assert [one["state"] for _, one in said] == ["accepted", "accepted"]
    assert {library.day for library in read_sheet(study.sheet)} == {370, 9}


def test_the_same_answers_at_once_get_two_places(study, counts, tmp_path):
    other = matrix(tmp_path / "b" / FILTERED, seed=2).read_bytes()

    async def talk(visitor):
        return await asyncio.gather(
            visitor.send([(FILTERED, counts)]), visitor.send([(FILTERED, other)])
        )

    said = [one for _, one in at_desk(study, talk)]
    assert {one["name"] for one in said} == {"P1_relapse_370", "P1_relapse_370-2"}
    assert {one["state"] for one in said} == {"accepted", "refused"}
    assert len(read_sheet(study.sheet)) == 1


@pytest.mark.parametrize(
    ("limits", "files", "words"),
    [
        (Limits(n_bytes=5_000), [("a.h5", b"x" * 6_000)], "which is the most"),
        (Limits(n_bytes=9_000), [("a.h5", b"x" * 5_000), ("b.h5", b"y" * 4_500)], "the most"),
        (Limits(n_bytes=1_000), [("a.h5", b"x" * 200_000)], "at most 1e-06 GB are taken"),
        (Limits(n_bytes=5_000), [(".DS_Store", b"x" * 6_000)], "which is the most"),
        (Limits(n_files=2), [(f"{i}.h5", b"x") for i in range(3)], "at most 2 are taken"),
        (Limits(at_once=0), [("a.h5", b"x")], "others are sending files"),
        (Limits(), [], "no file was chosen"),
        (Limits(), [("a.h5", b"x"), ("a.h5", b"y")], "two files of one name"),
        (Limits(), [("a.h5", b"x"), ("a.h5/b", b"y")], "two files of one name"),
    ],
)
def test_limits_leave_nothing_behind(study, limits, files, words):
    # The whole of a request is looked at first; these are about its files.
    whole = limits.n_bytes if len(files[:1] and files[0][1]) > 100_000 else 10**9

    async def talk(visitor):
        return await visitor.send(files)

    patched = Limits.problems
    with pytest.MonkeyPatch.context() as patch:
        if whole == 10**9:
            patch.setattr(Limits, "problems", lambda self, n, size, free: patched(self, n, 0, free))
        status, said = at_desk(study, talk, limits)
    assert status == 400
    assert words in said["problems"][0]
    assert lying_in(study.inbox) == []


NAMES = [
    *("../x.h5", "a/../../x.h5", "a\\..\\x.h5", "..", ".", "a//b.h5", "a/./b.h5", ""),
    *("/etc/x.h5", ".ssh/x.h5", "a/.b/c.h5", "x\n.h5", "x\0.h5", "x\u202e5h.h5"),
    *("n" * 201 + ".h5", "é" * 101 + ".h5", "a/" * 8 + "x.h5"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(InputProblem) as caught:
        inner_path(name)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].isprintable()


def test_plain_names_stay_as_they_are():
    for name in ("outs/count/x.h5", "a b/é (2).h5", "<img src=x onerror=alert(1)>.h5", "..a/x"):
        if not name.startswith("."):
            assert str(inner_path(name)) == name
    assert str(inner_path("outs\\x.h5")) == "outs/x.h5"


@pytest.mark.parametrize("name", ["../x.h5", "a/../../x.h5", "a\\..\\..\\x.h5", "a/.b/c.h5"])
def test_a_file_never_leaves_the_inbox(study, counts, name, tmp_path):
    before = {path for path in tmp_path.rglob("*") if "inbox" not in path.parts}

    async def talk(visitor):
        return await visitor.send([(name, counts)])

    status, said = at_desk(study, talk)
    assert status == 400, said
    assert lying_in(study.inbox) == []
    assert {path for path in tmp_path.rglob("*") if "inbox" not in path.parts} == before


def test_answers_are_no_paths_and_no_markup(study, counts):
    nasty = "../../<b onclick=alert(1)>"

    async def talk(visitor):
        sent = await visitor.send([("<img src=x>.h5", counts)], TOLD | {"patient_id": nasty})
        unknown = await visitor.send([(FILTERED, counts)], TOLD | {"surname": "x"})
        long = await visitor.send([(FILTERED, counts)], TOLD | {"chemistry": "x" * 500})
        return sent, unknown, long, await (await visitor.client.get("/")).text()

    (_, said), unknown, long, page = at_desk(study, talk)
    assert said["state"] == "refused"
    assert "/" not in said["name"]
    assert "<b onclick" not in page and "<img" not in page
    assert "&lt;b onclick" in page
    assert (unknown[0], long[0]) == (400, 400)
    assert lying_in(study.inbox) == ["refused"]


def raw_request(visitor, body, length=None):
    cookies = visitor.client.session.cookie_jar.filter_cookies(URL(visitor.origin))
    head = [
        "POST /submit HTTP/1.1",
        f"Host: 127.0.0.1:{visitor.client.port}",
        f"Origin: {visitor.origin}",
        "Cookie: " + "; ".join(f"{one.key}={one.value}" for one in cookies.values()),
        "Accept: application/json",
        "Content-Type: multipart/form-data; boundary=cut",
        f"Content-Length: {len(body) if length is None else length}",
        *("", ""),
    ]
    return "\r\n".join(head).encode() + body


def form_bytes(token, content, *, ending):
    fields = {"token": token} | TOLD
    text = "".join(
        f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    text += f'--cut\r\nContent-Disposition: form-data; name="file"; filename="{FILTERED}"\r\n\r\n'
    return text.encode() + content + ending


CLOSED = b'\r\n--cut\r\nContent-Disposition: form-data; name="whole"\r\n\r\nyes\r\n--cut--\r\n'


@pytest.mark.parametrize(
    "ending",
    [b"", b"\r\n--cut--\r\n", b"\r\n--cut", CLOSED[:-20], CLOSED.replace(b"yes", b"no")],
)
def test_a_cut_upload_never_passes_for_a_whole_one(study, counts, ending):
    async def talk(visitor):
        reader, writer = await asyncio.open_connection("127.0.0.1", visitor.client.port)
        body = form_bytes(visitor.token, counts[:3000], ending=ending)
        writer.write(raw_request(visitor, body))
        answer = await asyncio.wait_for(reader.readuntil(b"kept"), 10)
        writer.close()
        await writer.wait_closed()
        return answer

    assert b" 400 " in at_desk(study, talk)
    assert lying_in(study.inbox) == []


def test_the_same_by_hand_is_taken_when_it_is_whole(study, counts):
    async def talk(visitor):
        reader, writer = await asyncio.open_connection("127.0.0.1", visitor.client.port)
        writer.write(
            raw_request(visitor, form_bytes(visitor.token, counts, ending=CLOSED)),
        )
        answer = await asyncio.wait_for(reader.readuntil(b"accepted"), 20)
        writer.close()
        await writer.wait_closed()
        return answer

    assert b" 200 " in at_desk(study, talk)
    assert len(read_sheet(study.sheet)) == 1


async def until(condition):
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("never came true")


def test_a_connection_that_breaks_in_the_middle_leaves_nothing(study, counts):
    async def talk(visitor):
        body = form_bytes(visitor.token, counts, ending=CLOSED)
        _, writer = await asyncio.open_connection("127.0.0.1", visitor.client.port)
        writer.write(raw_request(visitor, body, length=len(body))[:-3000])
        await writer.drain()
        await until(lambda: list(study.inbox.glob(".desk-*/files/*")))
        assert work_through(study.inbox, study.sheet) == []
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        await until(lambda: not list(study.inbox.glob(".desk-*")))
        return (await visitor.client.get("/state")).status

    assert at_desk(study, talk) == 200
    assert lying_in(study.inbox) == []
    assert not study.sheet.exists()


def test_an_upload_that_stalls_is_given_up(study, counts):
    async def talk(visitor):
        body = form_bytes(visitor.token, counts, ending=CLOSED)
        reader, writer = await asyncio.open_connection("127.0.0.1", visitor.client.port)
        writer.write(raw_request(visitor, body)[:-3000])
        answer = await asyncio.wait_for(reader.readuntil(b"kept"), 10)
        writer.close()
        await writer.wait_closed()
        return answer

    assert b" 400 " in at_desk(study, talk, Limits(stall_s=0.3))
    assert lying_in(study.inbox) == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "multipart/mixed; boundary=a", "x"]
)
def test_what_is_no_form_of_the_desk_is_refused(study, kind):
    async def talk(visitor):
        answer = await visitor.client.post(
            "/submit", data=b"a=b", headers={"Origin": visitor.origin, "Content-Type": kind}
        )
        return answer.status

    assert at_desk(study, talk) in (400, 403)
    assert lying_in(study.inbox) == []


def test_a_sheet_that_no_row_can_be_added_to_stops_nobody(study, counts):
    study.sheet.write_bytes("sample_id\tpatient_id".encode("utf-16"))

    async def talk(visitor):
        _, looked = await visitor.look([FILTERED])
        _, sent = await visitor.send([(FILTERED, counts)])
        shown = await (await visitor.client.get("/")).text()
        study.sheet.unlink()
        await visitor.client.app[server.DESK].work()
        return looked, sent, shown

    looked, sent, shown = at_desk(study, talk)
    assert "save it as UTF-8" in looked and "save it as UTF-8" in shown
    # It is no fault of the sample's, which waits until the sheet is mended.
    assert sent["state"] == "waiting"
    assert len(read_sheet(study.sheet)) == 1


def test_many_may_look_at_once(study):
    """Each look lays out its own sheet: one process serves all."""
    study.sheet.write_text("sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\n")

    async def talk(visitor):
        days = ["-3" if i % 2 else "3" for i in range(12)]
        asked = [visitor.look([FILTERED], TOLD | {"day": day}) for day in days]
        return [json.loads(text)["problems"] for _, text in await asyncio.gather(*asked)]

    assert [len(problems) for problems in at_desk(study, talk)] == [0, 1] * 6
    assert [path.name for path in study.sheet.parent.iterdir()] == ["samples.tsv"]


def test_trouble_with_the_inbox_is_told_and_ends_with_it(study, counts, monkeypatch):
    def broken(inbox, sheet):
        raise RuntimeError("out of order")

    async def talk(visitor):
        with monkeypatch.context() as patch:
            patch.setattr(server, "work_through", broken)
            _, said = await visitor.send([(FILTERED, counts)])
            shown = await (await visitor.client.get("/state")).text()
        await visitor.client.app[server.DESK].work()
        return said, shown, await (await visitor.client.get("/state")).text()

    said, shown, after = at_desk(study, talk)
    assert said["state"] == "waiting"
    assert "cannot be worked through: out of order" in shown
    assert "out of order" not in after and "taken" in after


def test_a_full_disk_is_one_line(study, counts, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("relapsescope.desk.uploads.os.fsync", full)
    status, said = at_desk(study, lambda visitor: visitor.send([(FILTERED, counts)]))
    assert (status, said["problems"]) == (
        400,
        ["the upload cannot be kept: the disk is full; free the disk"],
    )
    assert lying_in(study.inbox) == []


def test_a_description_among_the_files_serves_where_nothing_else_was_said(study, counts):
    description = b"chemistry: 5' v2\nday: 12\n"

    async def talk(visitor):
        bad = await visitor.send([("outs/sample.yaml", b"- x\n"), (f"outs/{FILTERED}", counts)])
        files = [("outs/sample.yaml", description), (f"outs/{FILTERED}", counts)]
        return bad, await visitor.send(files)

    (status, bad), (_, said) = at_desk(study, talk)
    assert (status, len(bad["problems"])) == (400, 1)
    assert said["state"] == "accepted"
    (library,) = read_sheet(study.sheet)
    assert (library.day, library.chemistry) == (370, "5' v2")


@contextlib.contextmanager
def a_run(results):
    results.mkdir(exist_ok=True)
    with open(results / LOCK, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# Looking before sending


def test_only_what_a_library_needs_is_sent(study):
    outs = [
        "outs/possorted_genome_bam.bam",
        f"outs/{FILTERED}",
        "outs/raw_feature_bc_matrix.h5",
        "outs/filtered_feature_bc_matrix/matrix.mtx.gz",
        "outs/molecule_info.h5",
        "outs/vdj_t/filtered_contig_annotations.csv",
        "outs/.DS_Store",
        "outs/sample.yaml",
    ]
    seen = preview(outs, TOLD, study.sheet)
    assert (seen.needed, seen.problems) == ((1, 2, 5, 7), ())
    loose = ["barcodes.tsv.gz", "features.tsv.gz", "matrix.mtx.gz", "web/summary.html"]
    assert preview(loose, TOLD, study.sheet).needed == (0, 1, 2)
    assert not study.sheet.exists()


def test_problems_come_at_once_before_anything_is_sent(study):
    told = {"patient_id": "Mrs Miller", "timepoint": "", "day": "2024-03-05"}
    problems = preview(["x.txt", "../y.h5"], told, study.sheet).problems
    assert len(problems) == 5
    assert "what you chose: no count matrix" in problems[-1]
    (day,) = preview([FILTERED], TOLD | {"day": "-3"}, study.sheet).problems
    assert "day -3 is before the infusion" in day
    two = preview([f"a/{FILTERED}", f"b/{FILTERED}"], TOLD, study.sheet)
    assert "2 libraries in it (a, b)" in two.problems[0]
    named = preview([f"a/{FILTERED}", f"b/{FILTERED}"], TOLD | {"name": "b"}, study.sheet)
    assert (named.needed, named.problems) == ((1,), ())
    assert "same name" in preview(["a", f"a/{FILTERED}"], TOLD, study.sheet).problems[0]
    assert list(study.sheet.parent.iterdir()) == []


def test_the_desk_looks_and_changes_nothing(study, monkeypatch):
    async def talk(visitor):
        good = await visitor.look(["x.bam", FILTERED])
        large = await visitor.look([FILTERED], sizes=[10**12])
        bad = [
            await visitor.look([FILTERED], sizes=[]),
            await visitor.look([FILTERED], sizes=[-1]),
            await visitor.look("x" * 100_000),
        ]
        listed = await visitor.client.post("/look", json=[], headers={"Origin": visitor.origin})
        return good, large, [status for status, _ in bad], listed.status

    monkeypatch.setattr(server, "MOST_BODY", 300_000)
    (_, good), (_, large), bad, listed = at_desk(study, talk)
    assert json.loads(good) == {"needed": [1], "problems": []}
    assert "at most 20 GB are taken" in json.loads(large)["problems"][0]
    assert (bad, listed) == ([400, 400, 413], 400)
    assert lying_in(study.inbox) == []


# What is shown


def test_reports_are_shown_and_nothing_else_of_the_results(study, tmp_path):
    results = study.results
    (results / "report/patients").mkdir(parents=True)
    (results / "report/index.html").write_text("the cohort")
    (results / "report/patients/P1.html").write_text("the dossier")
    (results / "report/secret.json").write_text("secret")
    (results / "run_manifest.json").write_text("{}")
    (tmp_path / "outside.html").write_text("secret")
    (results / "report/link.html").symlink_to(tmp_path / "outside.html")
    (results / "other.html").write_text("secret")
    shown = ("index.html", "patients/P1.html")
    refused = [
        *("secret.json", "link.html", "../other.html", "%2e%2e/other.html", "..%2fother.html"),
        *("patients/..%2f..%2fother.html", "%2fetc%2fhosts", "patients", "x%00.html", "none.html"),
        *("....//other.html", "..\\other.html", "n" * 300 + ".html"),
    ]

    async def talk(visitor):
        good = [await visitor.client.get(f"/report/{name}") for name in shown]
        bad = []
        for name in refused:
            answer = await visitor.client.get(URL(f"/report/{name}", encoded=True))
            bad.append((answer.status, await answer.text()))
        return [(await one.text(), one.headers["Content-Security-Policy"]) for one in good], bad

    good, bad = at_desk(study, talk)
    assert [text for text, _ in good] == ["the cohort", "the dossier"]
    # A page of the run may run its own script, and may not talk to the desk.
    policy = good[0][1]
    assert "connect-src" not in policy and "default-src 'none'" in policy
    assert "form-action 'none'" in policy and "'self'" not in policy
    assert [status for status, _ in bad] == [404] * len(refused)
    assert not any("secret" in text for _, text in bad)


def test_what_lies_in_the_folders_is_shown_escaped(study):
    waiting = study.inbox / "<script>alert(1)<script>"
    waiting.mkdir()
    refused = study.inbox / "refused" / "a&b"
    refused.mkdir(parents=True)
    (refused / "why.txt").write_text("<img src=x onerror=alert(2)>\nsecond line\n")

    async def talk(visitor):
        return await (await visitor.client.get("/state")).text()

    text = at_desk(study, talk)
    assert "<script>" not in text and "<img" not in text
    assert "&lt;script&gt;" in text and "a&amp;b" in text
    assert text.count("<li>") == 3


def test_a_sheet_that_cannot_be_read_is_told(study):
    study.sheet.write_text("sample_id\tpatient_id\n")
    state = state_of(study, trouble=["the inbox is in trouble"])
    assert state.problems[0] == "the inbox is in trouble"
    assert any("timepoint" in line for line in state.problems)
    assert state.progress is None


def test_the_newest_come_first_and_old_ones_are_counted(study, monkeypatch):
    for number in range(4):
        folder = study.inbox / "accepted" / f"s{number}"
        folder.mkdir(parents=True)
        os.utime(folder, (1000 + number, 1000 + number))
    (study.inbox / "waits").mkdir()
    assert [one.name for one in found_in(study.inbox)] == ["waits", "s3", "s2", "s1", "s0"]
    monkeypatch.setattr("relapsescope.desk.view.MOST_HANDLED", 2)
    state = state_of(study)
    assert ([one.name for one in state.queue], state.n_older) == (["waits", "s3", "s2"], 2)


def test_the_run_is_told_in_words(study):
    assert run_words(study.results) == "No run has been started yet."
    with a_run(study.results):
        assert run_words(study.results) == "A run is at work."
    for state, words in (("succeeded", "well"), ("failed", "failed"), ("running", "from outside")):
        (study.results / "run_manifest.json").write_text(json.dumps({"state": state}))
        assert words in run_words(study.results)


def test_a_donor_waits_for_no_dossier(study):
    header = "sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\n"
    rows = ("h\tH1\thealthy\tbone_marrow\th.h5\n", "a\tP1\trelapse\tbone_marrow\ta.h5\n")
    study.sheet.write_text(header + "".join(rows))
    found = re.findall(r'<span class="quiet">(.*?)</span></td>', fragment(state_of(study)))
    assert found == ["none, a donor", "not yet"]


def test_a_dossier_that_is_older_than_a_library_says_so(study):
    header = "sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\n"
    names = ("a", "b", "c")
    rows = [f"{name}\tP1\trelapse\tbone_marrow\t{name}.h5\n" for name in names]
    study.sheet.write_text(header + "".join(rows) + "d\tP2\trelapse\tblood\td.h5\n")
    page = study.results / "report/patients/P1.html"
    page.parent.mkdir(parents=True)
    page.touch()
    os.utime(page, (1000, 1000))
    for name, time_s, text in (("a", 900, '{"verdict": "pass", "reason": ""}'), ("b", 1100, "{")):
        summary = study.results / "libraries" / name / "library.json"
        summary.parent.mkdir(parents=True)
        summary.write_text(text)
        os.utime(summary, (time_s, time_s))
    (study.results / "libraries/gone").mkdir()
    found = run_progress(study.sheet, study.results)
    assert [one.state for one in found.libraries] == ["pass", "damaged", "waiting", "waiting"]
    assert [one.newer for one in found.libraries] == [False, True, True, False]
    assert [one.dossier for one in found.libraries] == [page] * 3 + [None]
    assert (found.n_done, found.gone, found.report) == (1, ("gone",), None)


# The command


def started(study, *options):
    command = [sys.executable, "-m", "relapsescope", "desk", str(study.inbox)]
    command += ["--sheet", str(study.sheet), "--results", str(study.results), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_serves_this_machine_only_and_ends_cleanly(study, counts):
    left = study.inbox / ".desk-old"
    (left / "files").mkdir(parents=True)
    desk = started(study, "--port", "0")
    try:
        address = URL(desk.stdout.readline().strip())
        assert address.host == "127.0.0.1" and len(address.query["token"]) > 40
        assert not left.exists()
        with contextlib.closing(socket.socket()) as other:
            other.settimeout(2)
            assert other.connect_ex(("127.0.0.2", address.port)) != 0
        second = started(study, "--port", "0")
        assert second.communicate(timeout=30)[1].splitlines() == [
            f"{study.inbox}: another desk serves it; use that one"
        ]
        assert second.returncode == 1
        other_inbox = Study(study.inbox.with_name("b"), study.sheet, study.results)
        absent = started(other_inbox, "--port", "0").communicate(timeout=30)[1]
        assert "there is no such folder" in absent
        other_inbox.inbox.mkdir()
        taken = started(other_inbox, "--port", str(address.port))
        assert taken.communicate(timeout=30)[1].splitlines() == [
            f"--port {address.port}: in use or not yours; give another"
        ]
        enter = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with enter.open(str(address)) as page:
            token = FORM_TOKEN.search(page.read().decode())[1]
        assert token
        half = socket.create_connection(("127.0.0.1", address.port))
        half.sendall(b"no request at all\r\n\r\n")
        desk.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = desk.communicate(timeout=30)
        half.close()
        assert time.monotonic() - began < 20
    finally:
        desk.kill()
        desk.wait()
    assert (desk.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "The desk is closed."


def test_stages_that_were_left_are_cleared_and_links_are_not_followed(study, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (study.inbox / ".desk-1" / "files").mkdir(parents=True)
    (study.inbox / ".desk-2").symlink_to(kept)
    clear_stages(study.inbox)
    assert lying_in(study.inbox) == [".desk-2"]
    assert kept.is_dir()


def test_what_somebody_else_put_there_is_found(study, counts, monkeypatch):
    monkeypatch.setattr(server, "ROUND_S", 0.05)

    async def talk(visitor):
        folder = study.inbox / "by_hand"
        folder.mkdir()
        (folder / FILTERED).write_bytes(counts)
        (folder / "sample.yaml").write_text("patient_id: P1\ntimepoint: relapse\n")
        (folder / "READY").touch()
        await until((study.inbox / "accepted/by_hand").exists)

    at_desk(study, talk)
    assert len(read_sheet(study.sheet)) == 1


def test_a_sample_is_taken_while_a_run_is_at_work(study, counts):
    async def talk(visitor):
        with a_run(study.results):
            _, said = await visitor.send([(FILTERED, counts)])
            return said, await (await visitor.client.get("/state")).text()

    said, shown = at_desk(study, talk)
    assert said["state"] == "accepted"
    assert "A run is at work." in shown and "waits for the next run" in shown
