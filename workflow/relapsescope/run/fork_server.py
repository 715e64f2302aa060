"""Jobs as children of one process that has imported what they need.

Of a small job, Python's start and its imports are most of the cost. A run on one machine therefore
starts this server once (`start_server`); a job's script hands its job over (`hand_over`) and waits,
and a forked child does it, with the script's own output, folder and environment. Where there is no
server, as on a cluster or with environments of Snakemake's, a script does its job itself.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import marshal
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOCKET = "RELAPSESCOPE_FORK_SERVER"
"""Variable of the environment that names the server's socket."""
# What Snakemake sets for every job, from the threads that its rule asks for. Libraries read them
# when they are imported: a job with other values is refused.
THREADS = tuple(
    f"{name}_NUM_THREADS" for name in ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR")
)
# What several jobs import; none starts a thread by that, and torch and scanpy are not for these.
IMPORTED = (
    *("h5py", "numba", "numpy", "pandas", "pyarrow.parquet", "scipy.sparse", "scipy.special"),
    "relapsescope.libraries.library",
    "relapsescope.clones.patient_clones",
    "relapsescope.antigens.tallies",
)
REFUSED, ENDED = b"r", b"e"
REAP_S = 1.0


def start_server() -> Callable[[], None] | None:
    """Start the server for this process's jobs, till this process ends; return what stops it.

    Without one (another system than Linux, no socket to be had: None) jobs start by themselves.
    """
    if sys.platform != "linux":
        return None
    folder = Path(tempfile.mkdtemp(prefix="relapsescope-"))
    path = str(folder / "jobs")
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(socket.SOMAXCONN)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    with listener:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env=os.environ | dict.fromkeys(THREADS, "1"),
        )
    os.environ[SOCKET] = path
    return atexit.register(functools.partial(_stop_server, server, folder))


def _stop_server(server: subprocess.Popen, folder: Path) -> None:
    os.environ.pop(SOCKET, None)
    shutil.rmtree(folder, ignore_errors=True)
    server.stdin.close()
    server.wait()


def leave_server() -> None:
    """Let no job of this process, and of what it starts, look for a server."""
    os.environ.pop(SOCKET, None)


def hand_over(function: Callable[..., None], arguments: tuple[Any, ...]) -> int | None:
    """Let the server call a function of a module; return the exit status that it ended with.

    None where there is no server, or it does not take the job: then nothing has been done.

    Parameters
    ----------
    function
        A function by whose module and name the server finds it.
    arguments
        Plain values.
    """
    path = os.environ.get(SOCKET)
    if not path:
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    call = {
        "module": function.__module__,
        "name": function.__qualname__,
        "arguments": arguments,
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
    }
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(path)
        except OSError:
            return None
        message = marshal.dumps(call)
        socket.send_fds(server, [len(message).to_bytes(8)], [1, 2])
        server.sendall(message)
        answer = server.recv(2)
    if answer == REFUSED:
        return None
    # A child that was killed has no last word.
    return answer[1] if answer[:1] == ENDED and len(answer) == 2 else 1


def serve(listener: socket.socket, lifeline: int) -> None:
    """Fork a child for every job that is handed over, until the lifeline is closed.

    Returns in the server alone; a child ends the process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in IMPORTED:
        importlib.import_module(name)
    # Objects that no collection touches stay in memory that all children share.
    gc.collect()
    gc.freeze()
    while True:
        ready, _, _ = select.select([listener, lifeline], [], [], REAP_S)
        _reap()
        if listener in ready:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os.dup2(os.open(os.devnull, os.O_RDONLY), lifeline)
                _do_and_exit(connection)
            connection.close()
        elif lifeline in ready:
            return


def _reap() -> None:
    """Let children go that have ended, so that their CPU time is counted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _do_and_exit(connection: socket.socket) -> None:
    """Do the job that comes over a connection, say how it ended, and end this process."""
    status = 1
    try:
        answer = _do(connection)
        status = answer[-1]
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(answer)
    finally:
        os._exit(status)


def _do(connection: socket.socket) -> bytes:
    """Do the job that comes over a connection; return what to answer."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    head, files, _, _ = socket.recv_fds(connection, 8, 2)
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(file, number)
        os.close(file)
    with connection.makefile("rb") as stream:
        # From this run's own script over a socket that nobody else can open.
        call = marshal.loads(stream.read(int.from_bytes(head)))
    environment = call["environment"]
    if any(environment.get(name, "1") != os.environ.get(name) for name in THREADS):
        return REFUSED
    os.environ.clear()
    os.environ.update(environment)
    leave_server()
    tempfile.tempdir = None
    os.chdir(call["folder"])
    threading.Thread(target=_end_with, args=[connection], daemon=True).start()
    function = getattr(importlib.import_module(call["module"]), call["name"])
    try:
        function(*call["arguments"])
    except SystemExit as end:
        return ENDED + bytes([end.code if isinstance(end.code, int) else end.code is not None])
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return ENDED + bytes([1])
    return ENDED + bytes([0])


def _end_with(connection: socket.socket) -> None:
    """End this process when the script that waits for it has ended."""
    with contextlib.suppress(OSError):
        if not connection.recv(1):
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        folder = Path(given.getsockname()).parent
        serve(given, sys.stdin.fileno())
    # The run removes it, but where it was killed outright.
    shutil.rmtree(folder, ignore_errors=True)
