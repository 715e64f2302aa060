"""How many small faults in the methods the unit tests notice: a sample of mutants, one at a time.

    python benchmarks/mutation/mutants.py --number 300 --seed 1 --report mutants.tsv

First the unit tests run once, to see which functions each calls and how long it takes (kept in
``--reached``, by file of tests: one that changed runs again, the others do not). Then each mutant
of the sample is met by the tests that call its function, quickest first, until one fails: the
mutant is killed. Tests of more than ``--most`` seconds in all are not run. Nothing is imported
again for a mutant: it is put into a copy of a process that has collected all tests. A change that
no test could notice (an equivalent program) counts as a survivor: the rate is a lower bound.

The same seed and code give the same sample. A run that was broken off goes on where it stopped:
what the report has is not met again. ``--survivors-of REPORT`` meets only those that no test
noticed there, once there are new tests.
"""

import argparse
import ast
import gc
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, TextIO

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PACKAGE = REPOSITORY / "workflow" / "relapsescope"
sys.path[:0] = [str(HERE), str(REPOSITORY / "workflow")]

from changes import Change, changes, with_change  # noqa: E402 -- after its folder is known

ROOMS = ("antigens", "clones", "t_cells", "car_t", "libraries", "mechanisms", "course", "survival")
KILLED, SURVIVED, UNREACHED, ENDLESS = "killed", "survived", "unreached", "endless"
# Exit status of a copy of the process that has no such function: nothing imported its module.
NOT_PUT_IN = 3


def map_tests(path: Path, tests: list[str]) -> None:
    """Run each file of unit tests once and write what its tests call, unless that is known."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    folders = os.pathsep.join([str(HERE), str(REPOSITORY / "workflow")])
    part = path.with_suffix(".part")
    environment = os.environ | {"REACHED": str(part), "PYTHONPATH": folders}
    for file in test_files(tests):
        digest = hashlib.sha256((REPOSITORY / file).read_bytes()).hexdigest()
        if known.get(file, {}).get("sha256") == digest:
            continue
        command = [sys.executable, "-m", "pytest", file, "-q", "-p", "reached"]
        command += ["-p", "no:cacheprovider", "-p", "no:xdist"]
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
        found = json.loads(part.read_text(encoding="utf-8"))
        known[file] = {"sha256": digest, "tests": found}
        part.write_text(json.dumps(known), encoding="utf-8")
        part.replace(path)


def test_files(tests: list[str]) -> list[str]:
    """Return the files of tests in the folders and files named, within the repository."""
    found = {
        path
        for name in tests
        for path in ([REPOSITORY / name], (REPOSITORY / name).rglob("test_*.py"))[
            (REPOSITORY / name).is_dir()
        ]
    }
    return sorted(path.relative_to(REPOSITORY).as_posix() for path in found)


def tests_by_function(path: Path) -> dict[str, list[tuple[float, str]]]:
    """Return by function the tests that call it, with their seconds, quickest first."""
    found: dict[str, list[tuple[float, str]]] = {}
    for file in json.loads(path.read_text(encoding="utf-8")).values():
        for test, entry in file["tests"].items():
            if entry["outcome"] == "passed":
                for function in entry["calls"]:
                    found.setdefault(function, []).append((entry["seconds"], test))
    return {name: sorted(tests) for name, tests in found.items()}


def sample(number: int, seed: int, rooms: tuple[str, ...]) -> list[tuple[Path, int, Change]]:
    """Return mutants drawn at random from all that can be made: file, number in it, what it is."""
    every = [
        (path, place, change)
        for room in rooms
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for place, change in enumerate(changes(ast.parse(path.read_text(encoding="utf-8"))))
    ]
    return random.Random(seed).sample(every, min(number, len(every)))


def told(path: Path, number: int, change: Change) -> tuple[str, ...]:
    """Return a mutant as a report names it."""
    place = path.relative_to(PACKAGE).as_posix()
    return (place, str(number), str(change.line), change.function, change.what)


def reported(path: Path | None) -> dict[tuple[str, ...], str]:
    """Return the outcome of each mutant in a report, of none where there is no report."""
    if path is None or not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [line.split("\t") for line in lines]
    return {tuple(row[1:6]): row[0] for row in cells}


def put_in(path: Path, number: int, change: Change) -> bool:
    """Put a fault into the functions of this process; return whether one was found to put it in.

    The outermost function gets the changed code, and so do those that are made in it.
    """
    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    outermost = change.function.partition(".<locals>")[0]
    changed = compile(with_change(path.read_text(encoding="utf-8"), number), str(path), "exec")
    codes = [code for code in _codes(changed) if code.co_qualname == outermost]
    found = [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, types.FunctionType)
        and thing.__module__ == module
        and thing.__code__.co_qualname == outermost
    ]
    for function in found:
        function.__code__ = codes[-1]
    return bool(found)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the code of every function in a module's."""
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield part
            yield from _codes(part)


class Meeting:
    """A pytest plugin: once the tests are collected, each mutant meets those that call it.

    Each meets them in a copy of this process, which has imported everything already.
    """

    def __init__(self, mutants, by_function, most: float, report: TextIO) -> None:
        self._mutants, self._by_function = mutants, by_function
        self._most, self._report = most, report

    def pytest_runtest_logreport(self, report) -> None:
        """End the copy of the process at the first failure."""
        if report.failed:
            os._exit(1)

    def pytest_runtestloop(self, session) -> bool:
        """Let every mutant meet its tests, in place of running all tests."""
        items = {item.nodeid: item for item in session.items}
        for path, number, change in self._mutants:
            place = path.relative_to(PACKAGE).as_posix()
            known = self._by_function.get(f"{place}:{change.function}", [])
            tests = [(seconds, items[name]) for seconds, name in known if name in items]
            outcome = self._meet(path, number, change, tests)
            line = (outcome, *told(path, number, change), len(tests))
            self._report.write("\t".join(map(str, line)) + "\n")
            self._report.flush()
        return True

    def _meet(self, path: Path, number: int, change: Change, tests: list) -> str:
        """Return what became of a mutant."""
        chosen, total = [], 0.0
        for seconds, item in tests:
            total += seconds
            if chosen and total > self._most:
                break
            chosen.append(item)
        if not chosen:
            return UNREACHED
        seconds = int(20 + 2 * min(total, self._most))
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            _run(path, number, change, chosen)
        # Waiting for something that never comes costs no processor: hence two limits.
        ends = time.monotonic() + 10 * seconds
        while time.monotonic() < ends:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                known = {0: SURVIVED, NOT_PUT_IN: UNREACHED, -signal.SIGXCPU: ENDLESS}
                return known.get(code, KILLED)
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return ENDLESS


def _run(path: Path, number: int, change: Change, items: list) -> NoReturn:
    """Run tests against a mutant and end this process: 0 where none noticed it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        if not put_in(path, number, change):
            os._exit(NOT_PUT_IN)
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    except BaseException:
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Draw, meet and report mutants."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=300, help="of mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=float, default=60.0, help="seconds of tests a mutant")
    parser.add_argument("--rooms", nargs="+", default=ROOMS)
    parser.add_argument("--tests", nargs="+", default=["tests/unit"])
    parser.add_argument("--reached", type=Path, default=Path("results/bench/reached.json"))
    parser.add_argument("--report", type=Path, default=Path("results/bench/mutants.tsv"))
    parser.add_argument("--survivors-of", type=Path, help="a report: meet its survivors only")
    asked = parser.parse_args()
    for path in (asked.reached, asked.report):
        path.parent.mkdir(parents=True, exist_ok=True)
    map_tests(asked.reached.resolve(), asked.tests)
    by_function = tests_by_function(asked.reached)
    before, met = reported(asked.survivors_of), reported(asked.report)
    mutants = sample(asked.number, asked.seed, tuple(asked.rooms))
    if before:
        mutants = [m for m in mutants if before.get(told(*m)) in (SURVIVED, UNREACHED)]
    waiting = [mutant for mutant in mutants if told(*mutant) not in met]
    files, report = test_files(asked.tests), asked.report.resolve()
    os.chdir(REPOSITORY)
    with report.open("a", encoding="utf-8") as lines:
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        meeting = Meeting(waiting, by_function, asked.most, lines)
        pytest.main([*options, *files], plugins=[meeting])
    outcomes = Counter(reported(report).values())
    noticed = outcomes[KILLED] + outcomes[ENDLESS]
    print(f"{noticed} of {outcomes.total()} mutants were noticed: {dict(outcomes)}")


if __name__ == "__main__":
    main()
