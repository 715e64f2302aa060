"""What a run would ask a cluster for, before anything is submitted."""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from relapsescope.errors import InputProblem
from relapsescope.intake.patients import libraries_by_patient
from relapsescope.paths import REPOSITORY
from relapsescope.run.resource_models import (
    Request,
    batch_request,
    batches,
    groups_of_rules,
    request,
    total_size,
)
from relapsescope.run.start import HEADERS, check_run

# As in workflow/profiles/slurm: a job is sent again so many times, each with more of both.
RETRIES = 2
# What must end before what; jobs of one step run beside each other.
STEPS = (("libraries",), ("normal_plasma",), ("patients", "atlas"), ("cohort",), ("report",))
LOCAL = "local"
RECORDS = {"library_batch": "libraries", "patient_batch": "patients"}
"""Rules that record a batch, by group."""
OF_ONE = r"/(?:libraries|patients)/([^/]+)/[^/]+$"
OF_ONE_BATCH = r"/batches/[a-z]+_(\d+)\.txt$"


@dataclass(frozen=True)
class Job:
    """One job of the workflow: its rule, its library or patient ("" for all), what it asks for."""

    rule: str
    name: str
    group: str
    asks: Request


@dataclass(frozen=True)
class Submission:
    """One job of the scheduler: a single job, or those of a batch, one after another."""

    step: str
    jobs: tuple[Job, ...]

    @property
    def asks(self) -> Request:
        """The memory of the largest of its jobs, and the time of all of them."""
        return Request(
            mem_mb=max(job.asks.mem_mb for job in self.jobs),
            runtime=sum(job.asks.runtime for job in self.jobs),
        )


@dataclass(frozen=True)
class Limit:
    """What a partition gives one job; None: as much as it likes."""

    partition: str
    mem_mb: int | None
    runtime: int | None

    def refuses(self, asks: Request) -> str:
        """Return why a request is beyond it, "" where it fits."""
        reasons = []
        if self.mem_mb is not None and asks.mem_mb > self.mem_mb:
            reasons.append(f"{asks.mem_mb} MB of {self.mem_mb}")
        if self.runtime is not None and asks.runtime > self.runtime:
            reasons.append(f"{asks.runtime} minutes of {self.runtime}")
        return " and ".join(reasons)


def plan_run(
    config: Mapping[str, Any], *, configuration: Path, summary: str | None = None
) -> tuple[list[Job], list[Submission]]:
    """Return the jobs that a run would do now, and how the scheduler would see them.

    Parameters
    ----------
    config
        The configuration, with `samples`, `clinical` and `results`.
    configuration
        The file that it comes from.
    summary
        What `pending_outputs` returns, where it is known.

    Raises
    ------
    InputProblem
        Where the inputs have problems or the workflow cannot be planned.
    """
    checked = check_run(config, memory=HEADERS)
    patients = libraries_by_patient(checked.libraries)
    panel = config["copy_number"]["panel_timepoints"]
    of_panel = [lib.sample_id for lib in checked.libraries if lib.timepoint in panel]
    groups = groups_of_rules()
    jobs = []
    if summary is None:
        summary = pending_outputs(config, configuration)
    for rule, name in _pending(summary):
        if rule in RECORDS:
            jobs.append(Job(rule, name, RECORDS[rule], batch_request()))
        if rule not in groups:
            continue
        libraries = [name] if name in checked.sizes else patients.get(name, list(checked.sizes))
        libraries = of_panel if rule == "normal_plasma" else libraries
        size = total_size(checked.sizes[library] for library in libraries)
        jobs.append(Job(rule, name, groups[rule], request(rule, size)))
    cluster = config["cluster"]
    members = {
        "libraries": batches(checked.sizes, cluster["libraries_per_job"]),
        "patients": batches(patients, cluster["patients_per_job"]),
    }
    return jobs, _submissions(jobs, members)


def pending_outputs(config: Mapping[str, Any], configuration: Path) -> str:
    """Return Snakemake's table of every output and whether it would be made now."""
    values = [f"{key}={config[key] or ''}" for key in ("samples", "clinical", "results")]
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "none", "--summary"]
    command += ["--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--configfile", str(configuration), "--config", *values]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise InputProblem(*found.stderr.strip().splitlines())
    return found.stdout


def longest_wait(submissions: Sequence[Submission]) -> int:
    """Return the minutes at most if every step's jobs run beside each other and nothing queues."""
    longest: dict[str, int] = defaultdict(int)
    for submission in submissions:
        longest[submission.step] = max(longest[submission.step], submission.asks.runtime)
    return sum(max(longest[name] for name in step) for step in STEPS)


def partition_limits(sinfo: str) -> list[Limit]:
    """Return the partitions in what ``sinfo -h -o '%P %m %l'`` prints, the default one first."""
    limits = []
    for line in sinfo.splitlines():
        name, memory, longest = line.split()
        limit = Limit(name.rstrip("*"), int(memory.rstrip("+")), _minutes(longest))
        limits.insert(0 if name.endswith("*") else len(limits), limit)
    return limits


def warnings_for(
    submissions: Sequence[Submission], limit: Limit, others: Sequence[Limit] = ()
) -> list[str]:
    """Return one line for each kind of request that the partition refuses."""
    lines = {}
    for submission in submissions:
        if why := limit.refuses(submission.asks):
            fits = [other.partition for other in others if not other.refuses(submission.asks)]
            remedy = f"it would fit into {', '.join(fits)}" if fits else "ask for a larger one"
            line = f"{submission.step} asks {limit.partition} for {why}; {remedy}"
            lines.setdefault(submission.step, line)
    return list(lines.values())


def plan_as_dict(jobs: Sequence[Job], submissions: Sequence[Submission]) -> dict[str, Any]:
    """Return the plan as plain values: rules, scheduler jobs, totals."""
    rules = defaultdict(list)
    for job in jobs:
        rules[job.rule].append(job.asks)
    return {
        "rules": {
            rule: {
                "group": RECORDS.get(rule) or groups_of_rules()[rule],
                "n_jobs": len(asks),
                "mem_mb": max(each.mem_mb for each in asks),
                "runtime_min": max(each.runtime for each in asks),
            }
            for rule, asks in rules.items()
        },
        "submissions": [
            {"step": each.step, "n_jobs": len(each.jobs), **asdict(each.asks)}
            for each in submissions
        ],
        "n_jobs": len(jobs),
        "n_submissions": len(submissions),
        "largest_mem_mb": max((each.asks.mem_mb for each in submissions), default=0),
        "longest_runtime_min": max((each.asks.runtime for each in submissions), default=0),
        "hours_at_most": round(sum(each.asks.runtime for each in submissions) / 60, 1),
        "wait_at_most_min": longest_wait(submissions),
        "attempts": RETRIES + 1,
    }


def plan_as_text(plan: Mapping[str, Any]) -> str:
    """Return the plan as a table for a terminal."""
    if not plan["n_jobs"]:
        return "Nothing is to be done: every result is there and up to date."
    lines = [f"{'step':<18}{'jobs':>6}{'MB at most':>12}{'min at most':>13}  scheduled as"]
    for rule, row in plan["rules"].items():
        where = {"": "a job of its own", LOCAL: "in Snakemake's own process"}
        scheduled = where.get(row["group"], f"part of {row['group']}")
        lines.append(
            f"{rule:<18}{row['n_jobs']:>6}{row['mem_mb']:>12}{row['runtime_min']:>13}  {scheduled}"
        )
    hours = plan["wait_at_most_min"] / 60
    lines += [
        "",
        f"{plan['n_jobs']} jobs in {plan['n_submissions']} scheduler jobs; the largest asks for "
        f"{plan['largest_mem_mb']} MB, the longest for {plan['longest_runtime_min']} minutes.",
        f"At most {plan['hours_at_most']} CPU hours, and {hours:.1f} hours from first to last "
        f"where nothing queues. A job that is killed is sent {plan['attempts'] - 1} times more, "
        "with two and three times as much.",
    ]
    return "\n".join(lines)


def _pending(summary: str) -> list[tuple[str, str]]:
    """Return rule and library or patient of each job that is to be done."""
    found = {}
    for line in summary.splitlines()[1:]:
        output, _, rule, _, _, plan = line.split("\t")
        if plan != "no update":
            of_one = re.search(OF_ONE_BATCH if rule in RECORDS else OF_ONE, output)
            found[rule, of_one[1] if of_one else ""] = None
    return list(found)


def _submissions(
    jobs: Sequence[Job], members: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[Submission]:
    grouped: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        if job.group == LOCAL:
            continue
        step = job.group or job.rule
        of_batch = (
            number
            for number, names in members.get(step, {}).items()
            if (number == job.name if job.rule in RECORDS else job.name in names)
        )
        grouped[step, next(of_batch, "")].append(job)
    return [Submission(step, tuple(of_one)) for (step, _), of_one in grouped.items()]


def _minutes(text: str) -> int | None:
    """Return minutes of SLURM's ``[days-]hours:minutes:seconds`` and its shorter forms."""
    if text in ("infinite", "n/a"):
        return None
    days, _, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if days:
        parts += [0] * (3 - len(parts))
    hours, minutes, _ = [0] * (3 - len(parts)) + parts
    return int(days or 0) * 1440 + hours * 60 + minutes
