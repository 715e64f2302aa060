"""The workflow on a real SLURM of this machine: same results, and what befalls jobs is survived."""

import csv
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from ..conftest import Workplace, make_workplace
from ..runs.test_workflow import table_bytes
from .local_slurm import LocalSlurm, missing_programs

pytestmark = pytest.mark.cluster

MISSING = missing_programs(accounting=True)
PATIENCE_S = 900
BROKEN = "P2_relapse"
ONE_LIBRARY_A_JOB = ("--config", "cluster={libraries_per_job: 1, patients_per_job: 1}")


@pytest.fixture(scope="module")
def slurm():
    if MISSING:
        pytest.skip(f"needs SLURM: no {', '.join(MISSING)} (tests/system-packages.sh cluster)")
    with LocalSlurm(accounting=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def cohort(tiny_cohort, tmp_path_factory) -> Path:
    """The tiny cohort and one library whose matrix passes the check and then cannot be read."""
    folder = tmp_path_factory.mktemp("broken") / "cohort"
    shutil.copytree(tiny_cohort, folder)
    sheet = folder / "samples.tsv"
    text = sheet.read_text()
    (relapse,) = [line for line in text.splitlines() if "\trelapse\t" in line]
    sample = relapse.split("\t")[0]
    shutil.copytree(folder / "matrices" / sample, folder / "matrices" / BROKEN)
    row = relapse.replace(sample, BROKEN).replace("\tP1\t", "\tP2\t")
    sheet.write_text(f"{text}{row}\n")
    with h5py.File(folder / "matrices" / BROKEN / "filtered_feature_bc_matrix.h5", "r+") as file:
        file["matrix/data"][:] = file["matrix/data"][:] * 2  # another library, not a copy of one
        indices = file["matrix/indices"]
        indices[indices.shape[0] // 2] = np.iinfo(np.int32).max
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory, repository, cohort) -> Workplace:
    """A workplace where the cohort has run on this machine without SLURM."""
    workplace = make_workplace(tmp_path_factory.mktemp("local") / "w", repository, cohort)
    run = workplace.snakemake(cores=2)
    assert run.returncode == 0, run.stderr[-3000:]
    return workplace


@pytest.fixture
def fresh(tmp_path, repository, cohort) -> Workplace:
    """A workplace where nothing has run."""
    return make_workplace(tmp_path / "w", repository, cohort)


def add_large_library(workplace: Workplace) -> str:
    """Add a library whose counts alone take 500 MB, and return its name."""
    sheet = pd.read_csv(workplace.sheet, sep="\t", dtype=str, keep_default_na=False)
    row = sheet[sheet["sample_id"] == "P1_relapse"].iloc[0].to_dict()
    name, matrix_path = "P3_relapse", "matrices/P3_relapse/filtered_feature_bc_matrix.h5"
    row |= {"sample_id": name, "patient_id": "P3", "matrix": matrix_path, "raw_matrix": ""}
    sheet = pd.concat([sheet, pd.DataFrame([row])])
    sheet.to_csv(workplace.sheet, sep="\t", index=False)
    target, times = workplace.sheet.parent / matrix_path, 150
    target.parent.mkdir()
    shutil.copy(workplace.sheet.parent / matrix_path.replace("P3", "P1"), target)
    with h5py.File(target, "r+") as file:
        matrix = file["matrix"]
        ends = matrix["indptr"][:].astype(np.int64)
        n = (len(ends) - 1) * times
        letters = np.array(list("ACGT"))[np.arange(n)[:, None] >> np.arange(0, 32, 2) & 3]
        tiled = {
            "data": np.tile(matrix["data"][:], times),
            "indices": np.tile(matrix["indices"][:], times),
            "indptr": np.concatenate([[0], *(ends[1:] + k * ends[-1] for k in range(times))]),
            "barcodes": np.array(["".join(row) + "-1" for row in letters], "S"),
        }
        for part, values in tiled.items():
            del matrix[part]
            matrix[part] = values
        matrix["shape"][1] = n
    return name


def submit(
    workplace: Workplace, slurm: LocalSlurm, *arguments: str, profile: Path | None = None
) -> subprocess.Popen:
    """Start Snakemake with the cluster's profile; what it prints goes to `slurm.out`."""
    command = workplace.command(*arguments)
    at = command.index("--workflow-profile")
    command[at + 1] = str(workplace.repository / "workflow/profiles/slurm")
    cores = command.index("--cores")
    command[cores : cores + 2] = ["--jobs", "20"]
    options = ["--slurm-init-seconds-before-status-checks", "4"]
    options += ["--profile", str(profile)] if profile else []
    command[1:1] = options
    with open(workplace.folder / "slurm.out", "w") as output:
        return subprocess.Popen(
            command,
            cwd=workplace.folder,
            env=slurm.environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def ended_well(run: subprocess.Popen, workplace: Workplace) -> str:
    """Return what a run printed, once it has ended with status 0."""
    status = run.wait(timeout=PATIENCE_S)
    said = (workplace.folder / "slurm.out").read_text()
    assert status == 0, said[-4000:]
    return said


def wait_for(run: subprocess.Popen, what: Callable[[], object]) -> object:
    """Return what `what` gives, once it is true while the run goes on."""
    until = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert run.poll() is None, "the run ended first"
        assert time.monotonic() < until
        time.sleep(0.2)
    return found


def jobs_since(slurm: LocalSlurm, n_before: int) -> list[dict[str, str]]:
    return slurm.completed()[n_before:]


@dataclass(frozen=True)
class Work:
    """A job that has ended. Why one did not complete, SLURM words differently under load."""

    number: str
    purpose: str
    node: str
    completed: bool


def works_since(slurm: LocalSlurm, n_before: int) -> list[Work]:
    """Return the jobs that have ended since, in the order in which they did."""
    purposes = slurm.comments()
    return [
        Work(job["JobId"], purposes[job["JobId"]], job["NodeList"], job["JobState"] == "COMPLETED")
        for job in jobs_since(slurm, n_before)
    ]


def library_files(workplace: Workplace) -> dict[str, str]:
    files = table_bytes(workplace.results)
    return {name: value for name, value in files.items() if name.startswith("libraries/")}


def test_a_cluster_gives_the_same_bytes_and_a_bad_library_fails_alone(slurm, local, fresh):
    before = len(slurm.completed())
    ended_well(submit(fresh, slurm), fresh)
    expected, found = table_bytes(local.results), table_bytes(fresh.results)
    assert len(found) > 100
    assert set(found) == set(expected)
    assert [name for name in expected if expected[name] != found[name]] == []
    samples = pd.read_csv(fresh.results / "tables/samples.tsv", sep="\t").set_index("sample_id")
    assert samples.loc[BROKEN, "verdict"] == "fail"
    assert "filtered_feature_bc_matrix.h5" in samples.loc[BROKEN, "reason"]
    assert (samples["verdict"] != "fail").sum() == 3
    assert BROKEN in (fresh.results / "report/index.html").read_text()
    jobs = works_since(slurm, before)
    # The bad library fails no job: nothing is sent again for its sake.
    assert all(job.completed for job in jobs)
    assert 4 <= len(jobs) <= 2 * len(samples)
    (report,) = (fresh.folder / "logs").glob("efficiency_report*.csv")
    with open(report, newline="") as lines:
        assert {row["RuleName"] for row in csv.DictReader(lines)} >= {"rule_atlas"}


def test_a_site_s_profile_places_jobs_and_memory_that_ran_out_is_doubled(
    slurm, local, tmp_path, repository
):
    """Account, partition and GPU come from outside the repository; the atlas needs about 1 GB."""
    folder = tmp_path / "w"
    shutil.copytree(local.folder, folder)
    workplace = Workplace(folder, repository)
    for path in (folder / "results/atlas").glob("*.parquet"):
        path.unlink()
    site = tmp_path / "site"
    site.mkdir()
    (site / "config.yaml").write_text(
        "default-resources:\n  slurm_account: lab\n  slurm_partition: short\n"
        "set-resources:\n  atlas:\n    slurm_partition: gpu\n    gpu: 1\n"
        "    mem_mb: 700 * attempt\n    runtime: 10\n"
    )
    before = len(slurm.completed())
    targets = ["--allowed-rules", "atlas", "--", "results/atlas/embedding.parquet"]
    said = ended_well(submit(workplace, slurm, *targets, profile=site), workplace)
    assert "Error in rule atlas" in said
    jobs = jobs_since(slurm, before)
    assert jobs[0]["JobState"] != "COMPLETED"
    assert jobs[-1]["JobState"] == "COMPLETED"
    assert {(job["Partition"], job["NodeList"]) for job in jobs} == {("gpu", slurm.nodes[-1])}
    assert {job["Account"] for job in jobs} == {"lab"}
    for attempt, job in enumerate(jobs, 1):
        assert {"gres/gpu=1", f"mem={700 * attempt}M"} <= set(job["Tres"].split(","))
    name = "atlas/embedding.parquet"
    assert table_bytes(workplace.results)[name] == table_bytes(local.results)[name]


def test_a_cancelled_job_is_sent_again(slurm, local, fresh):
    before = len(slurm.completed())
    run = submit(fresh, slurm, "--until", "library", *ONE_LIBRARY_A_JOB)
    number = next(iter(wait_for(run, slurm.running)))
    slurm.ask("scancel", number)
    ended_well(run, fresh)
    jobs = works_since(slurm, before)
    (cancelled,) = [job for job in jobs if job.number == number]
    assert not cancelled.completed
    assert {job.purpose for job in jobs if job.completed} == {job.purpose for job in jobs}
    assert library_files(fresh) == library_files(local)


def test_jobs_of_a_dead_node_run_elsewhere(slurm, local, fresh):
    before = len(slurm.completed())
    run = submit(fresh, slurm, "--until", "library", *ONE_LIBRARY_A_JOB)
    running = wait_for(run, slurm.running)
    node, _ = next(iter(running.values()))
    slurm.kill_node(node)
    try:
        ended_well(run, fresh)
    finally:
        slurm.revive_node(node)
    jobs = works_since(slurm, before)
    lost = {job.purpose for job in jobs if job.node == node and not job.completed}
    done_at = {job.purpose: job.node for job in jobs if job.completed}
    assert lost
    assert {done_at[purpose] for purpose in lost} <= {*slurm.nodes} - {node}
    assert library_files(fresh) == library_files(local)


def test_a_library_that_takes_its_batch_down_is_found_alone(slurm, local, fresh):
    """As docs/cluster.md says: one library a job, then more memory for the one that is left."""
    culprit = add_large_library(fresh)
    small = fresh.folder / "small"
    small.mkdir()
    rules = "".join(f"  {rule}:\n    mem_mb: 750\n" for rule in ("library", "library_batch"))
    (small / "config.yaml").write_text(f"set-resources:\n{rules}")
    until = ("--retries", "0", "--until", "library_batch")
    assert submit(fresh, slurm, *until, profile=small).wait(timeout=PATIENCE_S) == 1
    alone = submit(fresh, slurm, *until, *ONE_LIBRARY_A_JOB, profile=small)
    assert alone.wait(timeout=PATIENCE_S) == 1
    assert library_files(fresh) == library_files(local)
    said = (fresh.folder / "slurm.out").read_text()
    failed = set(re.findall(r"results/libraries/([^/]+)/library\.json", said.partition("Error")[2]))
    assert failed == {culprit}
    more = ("--set-resources", "library:mem_mb=3000")
    before = len(slurm.completed())
    ended_well(submit(fresh, slurm, *until, *ONE_LIBRARY_A_JOB, *more), fresh)
    # The library, and the batch that is itself.
    assert len(jobs_since(slurm, before)) == 1
    assert set(library_files(fresh)) - set(library_files(local)) == {
        name.replace(BROKEN, culprit) for name in library_files(local) if BROKEN in name
    }


def test_a_run_that_was_killed_outright_goes_on(slurm, local, fresh):
    """As docs/cluster.md says: cancel what is left by the run's name, unlock, start again."""
    before = len(slurm.completed())
    run = submit(fresh, slurm, "--until", "library", *ONE_LIBRARY_A_JOB)
    summaries = fresh.results / "libraries"
    # A file may lie there while its job still ends; cancelling the job would take it away.
    wait_for(run, lambda: jobs_since(slurm, before))
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    names = set(slurm.ask("squeue", "-h", "-o", "%j").splitlines())
    for name in names:
        slurm.ask("scancel", "--name", name)
    while slurm.running():
        time.sleep(0.2)
    done = {path: path.stat().st_mtime_ns for path in summaries.glob("*/library.json")}
    again = submit(fresh, slurm, "--until", "library", *ONE_LIBRARY_A_JOB)
    assert again.wait(timeout=PATIENCE_S) != 0
    assert "unlock" in (fresh.folder / "slurm.out").read_text()
    unlocked = fresh.snakemake("--unlock")
    assert unlocked.returncode == 0, unlocked.stderr
    ended_well(submit(fresh, slurm, "--until", "library", *ONE_LIBRARY_A_JOB), fresh)
    assert library_files(fresh) == library_files(local)
    assert done
    assert {path: path.stat().st_mtime_ns for path in done} == done
