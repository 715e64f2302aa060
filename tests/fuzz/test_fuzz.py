"""Bad inputs that nobody thought of: no traceback, no hang, no unbounded memory.

A short run with every test. A long one, with a report to be read by eye (a line a cohort: number,
outcome, what was done to it, what was said):

    FUZZ_NUMBER=300 FUZZ_SEED=7 FUZZ_REPORT=fuzz.tsv python -m pytest tests/fuzz
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from ..runs.bad_inputs.conftest import Cohort
from .fuzz import BAD, findings

NUMBER = int(os.environ.get("FUZZ_NUMBER", "35"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
REPORT = os.environ.get("FUZZ_REPORT")


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    cohort = Cohort(tmp_path_factory.mktemp("fuzz") / "valid")
    cohort.folder.mkdir()
    cohort.build()
    return cohort.folder


def test_whatever_is_spoilt_is_refused_or_read(valid):
    outcomes, bad, report = Counter(), [], []
    for found in findings(valid, number=NUMBER, seed=SEED):
        outcomes[found.outcome] += 1
        said = " | ".join(found.lines).replace("\n", " ").replace("\t", " ")[:2000]
        report.append(f"{found.number}\t{found.outcome}\t{found.done!r}\t{said}\n")
        if found.outcome in BAD:
            bad.append(report[-1])
        if REPORT:
            Path(REPORT).write_text("".join(report), encoding="utf-8")
    assert bad == []
    # Most of what was spoilt must be seen: a look that accepts everything finds nothing.
    assert outcomes["refused"] > NUMBER / 3
