"""Jobs that a server's children do: what they see, how they end, when there is none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from relapsescope.run import fork_server
from relapsescope.run.fork_server import SOCKET, THREADS, hand_over, leave_server, start_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no server elsewhere")


@pytest.fixture(scope="module", autouse=True)
def socket_path():
    """A server for the tests of this module."""
    kept = dict(os.environ)
    os.environ.update(dict.fromkeys(THREADS, "1"))
    stop = start_server()
    yield os.environ[SOCKET]
    stop()
    assert SOCKET not in os.environ
    os.environ.clear()
    os.environ.update(kept)


def test_a_job_sees_the_scripts_folder_environment_and_output(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARK", "here")
    assert hand_over(os.mkdir, ("made",)) == 0
    assert (tmp_path / "made").is_dir()
    assert hand_over(print, ("told", 0.1, ("a", None))) == 0
    command = ["sh", "-c", f'test "$MARK" = here && test -z "${SOCKET}"']
    assert hand_over(subprocess.check_call, (command,)) == 0
    assert capfd.readouterr().out == "told 0.1 ('a', None)\n"


def test_a_job_ends_as_its_function_ended(tmp_path, capfd):
    assert hand_over(sys.exit, (3,)) == 3
    assert hand_over(sys.exit, ()) == 0
    assert hand_over(os.mkdir, (str(tmp_path),)) == 1
    assert f"FileExistsError: [Errno 17] File exists: '{tmp_path}'" in capfd.readouterr().err
    assert hand_over(signal.raise_signal, (int(signal.SIGKILL),)) == 1
    # One that was killed takes no other with it.
    assert hand_over(sys.exit, (4,)) == 4


def test_jobs_do_not_see_what_others_have_changed(tmp_path, monkeypatch):
    assert hand_over(os.chdir, (str(tmp_path),)) == 0
    assert hand_over(os.mkdir, (str(tmp_path / "a"),)) == 0
    monkeypatch.chdir(tmp_path / "a")
    assert hand_over(os.mkdir, ("b",)) == 0
    assert (tmp_path / "a/b").is_dir()


def test_a_job_with_other_threads_than_the_servers_is_not_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert hand_over(os.mkdir, (str(tmp_path / "a"),)) is None
    assert not (tmp_path / "a").exists()


def test_where_there_is_no_server_nothing_is_done(monkeypatch, tmp_path):
    monkeypatch.setenv(SOCKET, str(tmp_path / "gone"))
    assert hand_over(os.mkdir, (str(tmp_path / "a"),)) is None
    leave_server()
    assert hand_over(os.mkdir, (str(tmp_path / "a"),)) is None
    assert not (tmp_path / "a").exists()


def test_a_job_ends_with_the_script_that_waits_for_it(tmp_path):
    command = ["sh", "-c", f"echo $PPID > '{tmp_path}/pid.part'; mv '{tmp_path}/pid.part' "]
    command[-1] += f"'{tmp_path}/pid'; exec sleep 60"
    code = f"import subprocess; from {fork_server.__name__} import hand_over; "
    script = subprocess.Popen(
        [sys.executable, "-c", code + f"hand_over(subprocess.check_call, ({command!r},))"]
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    script.kill()
    script.wait()
    job = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{job}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
