"""What a job leaves in its log."""

import re

import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.run.job_log import PEAK, job_log


def peak(log) -> float:
    (found,) = re.findall(rf"^{PEAK}(\d+) MB$", log.read_text(), flags=re.M)
    return float(found)


def test_the_log_says_how_much_memory_was_taken_for_a_moment(tmp_path):
    """600 MB that are freed before the block ends."""
    with job_log(str(tmp_path / "first.log")):
        print("begins")
    with job_log(str(tmp_path / "second.log")):
        np.ones(75_000_000).sum()
    before, after = peak(tmp_path / "first.log"), peak(tmp_path / "second.log")
    assert (tmp_path / "first.log").read_text().startswith("begins\n")
    assert max(before, 590) <= after < before + 700


def test_a_failed_job_says_it_too_after_its_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit), job_log(str(tmp_path / "job.log")):
        raise InputProblem("samples.tsv:7 matrix: cannot be read; copy it again")
    text = (tmp_path / "job.log").read_text()
    assert "Traceback" in text
    assert peak(tmp_path / "job.log") > 0
    assert capsys.readouterr().err == "samples.tsv:7 matrix: cannot be read; copy it again\n"
