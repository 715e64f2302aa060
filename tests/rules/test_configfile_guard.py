"""Files given with ``--configfile``: Snakemake reads them first, and what is wrong ends the run."""

import os
import subprocess
import sys

import pytest
from relapsescope.paths import REPOSITORY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quality: {mad_factor: 3, mad_factor: 4}\n", "mad_factor: is given 2 times"),
        ("__use_yte__: true\nseed:\n  ?if True:\n    1\n", "would run what the file holds"),
    ],
)
def test_a_configfile_is_looked_at_before_anything_runs(tmp_path, text, said):
    (tmp_path / "own.yaml").write_text(text)
    results = tmp_path / "results"
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1"]
    command += ["--configfile", str(tmp_path / "own.yaml"), "--config", f"results={results}"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")}
    ended = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert [said in line for line in lines].count(True) == 1
    assert lines[-1] == "1 problem(s); nothing was run."
    assert not results.exists()
