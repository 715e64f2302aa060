"""Pytest plugin: which functions of the package each test calls, and how long it takes.

Written to the file that the environment variable REACHED names, as JSON: by test, its seconds
and the functions as ``file in the package:qualified name``, so that the record outlasts edits
elsewhere and holds in any copy of the repository. What is called while fixtures are set up counts
to every test of the module: those of a module are made once.
"""

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = f"{os.sep}workflow{os.sep}relapsescope{os.sep}"
_calls: set[str] = set()
_set_up: dict[str, set[str]] = defaultdict(set)
_found: dict[str, dict] = {}


def _profile(frame, event, _):
    if event == "call":
        code = frame.f_code
        if PACKAGE in code.co_filename:
            inside = code.co_filename.rpartition(PACKAGE)[2]
            _calls.add(f"{inside}:{code.co_qualname}")


def _entry(name: str) -> dict:
    return _found.setdefault(name, {"seconds": 0.0, "calls": [], "outcome": "passed"})


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    """Note what the fixtures of a test call."""
    _calls.clear()
    sys.setprofile(_profile)
    yield
    sys.setprofile(None)
    _set_up[item.nodeid.split("::")[0]] |= _calls


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Note what a test calls."""
    _calls.clear()
    sys.setprofile(_profile)
    yield
    sys.setprofile(None)
    _entry(item.nodeid)["calls"] = sorted(_calls)


def pytest_runtest_logreport(report):
    """Add up the seconds of a test."""
    entry = _entry(report.nodeid)
    entry["seconds"] += report.duration
    if report.outcome != "passed":
        entry["outcome"] = report.outcome


def pytest_sessionfinish():
    """Write what was found."""
    complete = {
        name: entry | {"calls": sorted({*entry["calls"], *_set_up[name.split("::")[0]]})}
        for name, entry in _found.items()
    }
    path = Path(os.environ["REACHED"])
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(complete), encoding="utf-8")
    partial.replace(path)
