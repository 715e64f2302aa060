"""What the workflow does before its first job: read the sheet, check every input, keep a record."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relapsescope.check import check_inputs
from relapsescope.configuration import config_problems, plain_values
from relapsescope.errors import InputProblem
from relapsescope.provenance import now, pin_threads, write_run_manifest
from relapsescope.sheet import Library, read_sheet


@dataclass(frozen=True)
class Run:
    """One run of the workflow: its libraries, its settings and where its results go."""

    config: Mapping[str, Any]
    libraries: dict[str, Library]
    started: str

    @property
    def results(self) -> str:
        """Folder of the results, as the configuration names it."""
        return str(self.config["results"]).rstrip("/")

    def record(self, state: str) -> None:
        """Write `run_manifest.json` with the run's state."""
        write_run_manifest(
            Path(self.results) / "run_manifest.json",
            config=self.config,
            sheet=Path(self.config["samples"]),
            state=state,
            started=self.started,
        )


def begin(config: dict[str, Any], *, check: bool) -> Run:
    """Return the run that `config` describes; pin the numerical threads of its jobs.

    Text that stands for a number or a truth value is replaced in `config` itself, which the
    workflow's rules read.

    Parameters
    ----------
    check
        Whether to open every matrix's header first. Jobs on a cluster read the same workflow
        again and need not.

    Raises
    ------
    InputProblem
        With every problem of the configuration, or else of the sheet, the clinical tables and
        the matrices, at once.
    """
    config.update(plain_values(config))
    problems = config_problems(config)
    if problems:
        raise InputProblem(*problems)
    pin_threads(config["numeric_threads"])
    sheet = Path(config["samples"])
    if check:
        checked = check_inputs(sheet, Path(config["clinical"]) if config["clinical"] else None)
        for warning in checked.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        libraries = checked.libraries
    else:
        libraries = read_sheet(sheet)
    return Run(config, {library.sample_id: library for library in libraries}, now())


def begin_or_exit(config: dict[str, Any], *, check: bool) -> Run:
    """Return `begin`'s run; on a problem in the input, print one line each and exit with 1."""
    try:
        return begin(config, check=check)
    except InputProblem as problem:
        print("\n".join(problem.problems), file=sys.stderr)
        print(f"{len(problem.problems)} problem(s); nothing was run.", file=sys.stderr)
        raise SystemExit(1) from None
