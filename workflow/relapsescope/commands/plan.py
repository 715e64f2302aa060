"""The command `plan`: what a run would ask a cluster for, before anything is submitted."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from relapsescope.errors import InputProblem
from relapsescope.paths import DEFAULTS
from relapsescope.run.config_file import USUAL, read_configuration

GIVEN = "the given limits"


def plan(
    *,
    samples: Annotated[
        Path | None, typer.Option(help="The sample sheet [default: that of the configuration].")
    ] = None,
    clinical: Annotated[
        str | None,
        typer.Option(
            help='Folder of clinical tables, "" for none [default: that of the configured sheet].'
        ),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of the run [default: that of the configuration].")
    ] = None,
    config: Annotated[Path, typer.Option("--config", help="The configuration of the run.")] = USUAL,
    max_mem: Annotated[
        int | None, typer.Option(help="MB that the partition gives a job [default: ask sinfo].")
    ] = None,
    max_runtime: Annotated[
        int | None, typer.Option(help="Minutes that it gives a job [default: ask sinfo].")
    ] = None,
    partition: Annotated[
        str | None, typer.Option(help="The partition [default: the cluster's default].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what would run now, in how many jobs, with how much memory and time at most.

    Nothing is submitted and no result is touched. Memory and time come from models of what each
    rule used in earlier runs (resources/resource_models.tsv). Warns where a request exceeds the
    partition.
    """
    from relapsescope.run.plan import (
        Limit,
        partition_limits,
        plan_as_dict,
        plan_as_text,
        plan_run,
        warnings_for,
    )

    path = config if config.is_file() else DEFAULTS
    try:
        chosen = read_configuration(path)
    except InputProblem as problem:
        _stop(problem)
    if samples:
        # The configured clinical tables belong to the configured sheet, not to another one.
        chosen |= {"samples": str(samples), "clinical": ""}
    if clinical is not None:
        chosen["clinical"] = clinical
    if results:
        chosen["results"] = str(results)
    try:
        jobs, submissions = plan_run(chosen, configuration=path)
    except InputProblem as problem:
        _stop(problem)
    limits = [] if max_mem or max_runtime else partition_limits(_sinfo())
    if max_mem or max_runtime:
        limits = [Limit(GIVEN, max_mem, max_runtime)]
    elif partition:
        limits.sort(key=lambda limit: limit.partition != partition)
        if not limits or limits[0].partition != partition:
            print(f"sinfo knows no partition {partition!r}", file=sys.stderr)
            raise typer.Exit(1)
    warnings = warnings_for(submissions, limits[0], limits[1:]) if limits else []
    found = plan_as_dict(jobs, submissions) | {"warnings": warnings}
    print(json.dumps(found, indent=2) if as_json else plan_as_text(found))
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)


def _stop(problem: InputProblem) -> NoReturn:
    print("\n".join(problem.problems), file=sys.stderr)
    raise typer.Exit(1)


def _sinfo() -> str:
    """Return what SLURM says of its partitions, nothing where there is none."""
    if not shutil.which("sinfo"):
        return ""
    found = subprocess.run(["sinfo", "-h", "-o", "%P %m %l"], capture_output=True, text=True)
    return found.stdout
