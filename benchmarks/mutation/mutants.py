"""How many small faults in the methods the unit tests notice: a sample of mutants, one at a time.

    python benchmarks/mutation/mutants.py --number 300 --seed 1 --report mutants.tsv

First the unit tests run once, to see which functions it calls and how long it takes (kept in
``--reached``, some minutes). Then each mutant of the sample is met by the tests that call its
function, quickest first, until one fails: the mutant is killed. Tests of more than ``--most``
seconds in all are not run, which the report says. A change that no test could notice (an equivalent
program) counts as a survivor, so the rate is a lower bound. The same seed and code give the same
sample.
"""

import argparse
import ast
import importlib.abc
import importlib.machinery
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PACKAGE = REPOSITORY / "workflow" / "relapsescope"
sys.path[:0] = [str(HERE), str(REPOSITORY / "workflow")]

from changes import Change, changes, with_change  # noqa: E402 -- after its folder is known

ROOMS = ("antigens", "clones", "t_cells", "car_t", "libraries", "mechanisms", "course", "survival")
KILLED, SURVIVED, UNREACHED, ENDLESS = "killed", "survived", "unreached", "endless"
# pytest was asked for a test that is not there: the record of calls is older than the tests.
NOT_ASKED, USAGE_ERROR = "not asked", 4


def map_tests(path: Path, tests: list[str]) -> None:
    """Run the unit tests once and write what each calls."""
    command = [sys.executable, "-m", "pytest", *tests, "-q", "-p", "reached"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist"]
    folders = os.pathsep.join([str(HERE), str(REPOSITORY / "workflow")])
    environment = os.environ | {"REACHED": str(path), "PYTHONPATH": folders}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)


def tests_by_function(path: Path) -> dict[str, list[tuple[float, str]]]:
    """Return by function the tests that call it, with their seconds, quickest first."""
    found: dict[str, list[tuple[float, str]]] = {}
    for test, entry in json.loads(path.read_text(encoding="utf-8")).items():
        if entry.get("outcome", "passed") != "passed":
            continue
        for name in entry["calls"]:
            file, _, function = name.partition(":")
            place = f"{Path(file).relative_to(PACKAGE).as_posix()}:{function}"
            found.setdefault(place, []).append((entry["seconds"], test))
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


class Mutant(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module of the package with a fault in it."""

    def __init__(self, path: Path, source: str) -> None:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        self._name, self._path, self._source = ".".join(parts), path, source

    def find_spec(self, name, path=None, target=None):
        """Return the spec of the changed module."""
        if name != self._name:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self._path))

    def exec_module(self, module):
        """Run the changed source in the module."""
        module.__file__ = str(self._path)
        exec(compile(self._source, str(self._path), "exec"), module.__dict__)


def meet(path: Path, number: int, tests: list[tuple[float, str]], most: float) -> str:
    """Return what became of a mutant."""
    chosen, total = [], 0.0
    for seconds, test in tests:
        total += seconds
        if chosen and total > most:
            break
        chosen.append(test)
    if not chosen:
        return UNREACHED
    child = os.fork()
    if child == 0:
        source = with_change(path.read_text(encoding="utf-8"), number)
        os._exit(_run_tests(path, source, chosen))
    ends = time.monotonic() + 30 + 4 * min(total, most)
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return {0: SURVIVED, USAGE_ERROR: NOT_ASKED}.get(code, KILLED)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return ENDLESS


def _run_tests(path: Path, source: str, tests: list[str]) -> int:
    import pytest

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.meta_path.insert(0, Mutant(path, source))
    os.chdir(REPOSITORY)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    try:
        return int(pytest.main([*options, *tests]))
    except BaseException:
        return 1


def _import_what_tests_need() -> None:
    """Import once what every child would import; nothing of the package."""
    import lifelines  # noqa: F401
    import pandas  # noqa: F401
    import pytest  # noqa: F401
    import scipy.optimize
    import scipy.sparse.linalg
    import scipy.special
    import scipy.stats  # noqa: F401
    import yaml  # noqa: F401


def main() -> None:
    """Draw, meet and report mutants."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=float, default=60.0, help="seconds of tests a mutant")
    parser.add_argument("--rooms", nargs="+", default=ROOMS)
    parser.add_argument("--tests", nargs="+", default=["tests/unit"])
    parser.add_argument("--reached", type=Path, default=Path("results/bench/reached.json"))
    parser.add_argument("--report", type=Path, default=Path("results/bench/mutants.tsv"))
    asked = parser.parse_args()
    for path in (asked.reached, asked.report):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not asked.reached.exists():
        map_tests(asked.reached.resolve(), asked.tests)
    by_function = tests_by_function(asked.reached)
    _import_what_tests_need()
    outcomes: Counter[str] = Counter()
    with asked.report.open("w", encoding="utf-8") as report:
        for path, number, change in sample(asked.number, asked.seed, tuple(asked.rooms)):
            place = path.relative_to(PACKAGE).as_posix()
            tests = by_function.get(f"{place}:{change.function}", [])
            outcome = meet(path, number, tests, asked.most)
            outcomes[outcome] += 1
            line = (outcome, place, change.line, change.function, change.what, len(tests))
            report.write("\t".join(map(str, line)) + "\n")
            report.flush()
    noticed = outcomes[KILLED] + outcomes[ENDLESS]
    print(f"{noticed} of {sum(outcomes.values())} mutants were noticed: {dict(outcomes)}")


if __name__ == "__main__":
    main()
