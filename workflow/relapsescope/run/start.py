"""What the workflow does before its first job: read the sheet, check every input, keep a record."""

import atexit
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from relapsescope.course.clinical import patients_named
from relapsescope.errors import InputProblem
from relapsescope.intake.input_limits import hold_to
from relapsescope.intake.kept_sheet import drop_sheet, keep_sheet, kept_sheet
from relapsescope.intake.sheet import PATHS, Library, read_sheet
from relapsescope.provenance.failures import failure_lines, failures_of, forget_failures
from relapsescope.provenance.record import (
    file_hash,
    input_stamp,
    now,
    pin_threads,
    run_state,
    share_package,
    write_run_manifest,
)
from relapsescope.reference.manifest import reference_of
from relapsescope.run.places import hold_results, holder_of
from relapsescope.run.resource_models import Size, total_size
from relapsescope.settings import plain_values
from relapsescope.vocabulary import CAR_T_COURSE

if TYPE_CHECKING:
    from relapsescope.run.check import CheckResult

# Beside Snakemake's own records, in the working directory.
HEADERS = Path(".snakemake/relapsescope/headers.json")


@dataclass(frozen=True)
class Run:
    """One run of the workflow: its libraries, its settings and where its results go.

    `patients` are those with a page of their own; `sizes` are known where inputs were checked,
    as is the sheet's SHA-256, of the moment when it was read.
    """

    config: Mapping[str, Any]
    libraries: dict[str, Library]
    patients: list[str]
    sizes: dict[str, Size]
    started: str
    sheet_sha256: str = ""

    @property
    def results(self) -> str:
        """Folder of the results, as the configuration names it."""
        return os.path.normpath(str(self.config["results"]))

    @property
    def manifest(self) -> Path:
        """Path of `run_manifest.json`."""
        return Path(self.results) / "run_manifest.json"

    def size_of(self, samples: Iterable[str]) -> Size:
        """Return how much a job on these libraries reads, nothing where they were not checked."""
        return total_size(self.sizes.get(sample, Size()) for sample in samples)

    def record(self, state: str) -> None:
        """Write `run_manifest.json` with the run's state; keep its sheet for its jobs till then.

        A run that was recorded as running and never as ended is recorded as failed when the
        process ends: Snakemake tells nobody where it breaks itself, as on a full disk.

        Ends the process where another run writes into the same folder.
        """
        if state == "running":
            try:
                hold_results(Path(self.results))
            except InputProblem as problem:
                _stop(problem)
            keep_sheet(Path(self.results), list(self.libraries.values()), self.patients)
        else:
            drop_sheet(Path(self.results))
        write_run_manifest(
            self.manifest,
            config=self.config,
            sheet=Path(self.config["samples"]),
            state=state,
            started=self.started,
            reference=reference_of(self.config),
            inputs=self._inputs(),
            sheet_sha256=self.sheet_sha256,
        )
        if state == "running":
            atexit.register(self._record_break)

    def _inputs(self) -> dict[str, dict[str, Any]]:
        """Return what the files of every library are, by column of the sheet."""
        stamps: dict[Path, Any] = {}
        found: dict[str, dict[str, Any]] = {}
        for sample_id, library in self.libraries.items():
            named = {column: getattr(library, column) for column in PATHS}
            for path in filter(None, named.values()):
                if path not in stamps:
                    stamps[path] = input_stamp(path)
            found[sample_id] = {column: stamps[path] for column, path in named.items() if path}
        return found

    def close(self, *, jobs_failed: bool = False) -> None:
        """Record how the run ended, and say what came out and where to look.

        Ends the process with exit status 1 where a step failed that others could do without.

        Parameters
        ----------
        jobs_failed
            Whether Snakemake knows of jobs that failed, and ends with status 1 by itself.
        """
        results = Path(self.results)
        failures = failures_of(results)
        self.record("failed" if failures or jobs_failed else "succeeded")
        if not jobs_failed:
            # It comes with pandas, and every job on a cluster imports this module.
            from relapsescope.run.closing import closing_lines

            for line in closing_lines(results):
                say(line)
        for line in failure_lines(failures):
            say(line)
        forget_failures(results)
        if failures and not jobs_failed:
            raise SystemExit(1)

    def _record_break(self) -> None:
        if run_state(self.manifest) == "running":
            self.record("failed")


def begin(config: dict[str, Any], *, check: bool, files: Iterable[str | Path] = ()) -> Run:
    """Return the run that `config` describes; pin the numerical threads of its jobs.

    Text that stands for a number or a truth value is replaced in `config` itself, which the
    workflow's rules read.

    Parameters
    ----------
    check
        Whether to check the configuration and open every matrix's header first. The processes
        of a run's jobs read the same workflow again, many times, and need not: nothing heavy is
        imported for them, and they take the sheet as the run has read it.
    files
        The configuration files that the values come from.

    Raises
    ------
    InputProblem
        With every problem of the configuration, the sheet, the clinical tables and the matrices.
    """
    if check:
        _check_files(files)
    config.update(plain_values(config))
    if check:
        _forget_killed_run(config)
    sheet, results = Path(config["samples"]), Path(os.path.normpath(str(config["results"])))
    # Of the bytes before they are read: a row that is added meanwhile is not this run's.
    sheet_sha256 = (file_hash(sheet) or "") if check else ""
    checked = check_run(config, memory=HEADERS) if check else None
    hold_to(config["inputs"])
    pin_threads(config["numeric_threads"])
    share_package()
    kept = None if check else kept_sheet(results)
    if kept:
        libraries, patients = kept.libraries, kept.patients
    else:
        libraries = checked.libraries if checked else read_sheet(sheet)
        clinical = Path(config["clinical"]) if config["clinical"] else None
        patients = patients_of_pages(libraries, patients_named(clinical))
    return Run(
        config=config,
        libraries={library.sample_id: library for library in libraries},
        patients=patients,
        sizes=checked.sizes if checked else {},
        started=now(),
        sheet_sha256=sheet_sha256,
    )


def check_run(config: Mapping[str, Any], *, memory: Path | None = None) -> "CheckResult":
    """Return what can be run, after looking at the configuration and every input.

    Parameters
    ----------
    config
        The configuration's values, plain (`relapsescope.settings.plain_values`).
    memory
        As in :func:`relapsescope.run.check.check_inputs`.

    Raises
    ------
    InputProblem
        With every problem of the configuration, the sheet, the clinical tables and the matrices.
    """
    from relapsescope.run.check import check_inputs
    from relapsescope.run.configuration import config_problems, named_file_problems

    problems = config_problems(config)
    if not problems:
        hold_to(config["inputs"])
        problems = named_file_problems(config)
    checked = None
    if isinstance(config.get("samples"), str) and isinstance(config.get("clinical"), str | None):
        try:
            checked = check_inputs(
                config["samples"], config.get("clinical") or None, memory=memory, tell=say
            )
        except InputProblem as problem:
            problems += problem.problems
    if problems or checked is None:
        raise InputProblem(*problems)
    for warning in checked.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return checked


def _check_files(files: Iterable[str | Path]) -> None:
    """Raise for configuration files that are ambiguous, or unfold to more than one can walk."""
    from relapsescope.run.config_file import file_problems

    problems = file_problems(dict.fromkeys(map(Path, files)))
    if problems:
        raise InputProblem(*problems)


def _forget_killed_run(config: Mapping[str, Any]) -> None:
    """Remove what a run that was killed outright has left in place of steps that failed in it."""
    results = config.get("results")
    if isinstance(results, str) and Path(results).is_dir() and not holder_of(Path(results)):
        forget_failures(Path(results))


def say(line: str) -> None:
    """Print a line that is not the answer: how far something is."""
    print(line, file=sys.stderr, flush=True)


def patients_of_pages(libraries: Iterable[Library], clinical: Iterable[str]) -> list[str]:
    """Return the patients with samples around CAR-T or in a clinical table, sorted."""
    sampled = {library.patient_id for library in libraries if library.timepoint in CAR_T_COURSE}
    return sorted(sampled.union(clinical))


def begin_or_exit(config: dict[str, Any], *, check: bool, files: Iterable[str | Path] = ()) -> Run:
    """Return `begin`'s run; on a problem in the input, print one line each and exit with 1."""
    try:
        return begin(config, check=check, files=files)
    except InputProblem as problem:
        _stop(problem)


def _stop(problem: InputProblem) -> NoReturn:
    print("\n".join(problem.problems), file=sys.stderr)
    print(f"{len(problem.problems)} problem(s); nothing was run.", file=sys.stderr)
    raise SystemExit(1) from None
