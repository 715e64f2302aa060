"""The command `prune`: remove what is left of libraries and patients that left the sheet."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relapsescope.errors import InputProblem
from relapsescope.run.config_file import USUAL, read_configuration


def prune(
    samples: Annotated[
        Path | None, typer.Option(help="The sample sheet [default: that of the configuration].")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of the run [default: that of the configuration].")
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", help="The configuration, or what differs from it.")
    ] = USUAL,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
) -> None:
    """List what results hold of libraries and patients that are not in the sheet; remove it.

    Nothing is removed without `--yes`. The tables and pages of the cohort are made without them by
    the next run. Exit status 0, or 1 where the sheet has problems or a run is at work.
    """
    from relapsescope.course.clinical import patients_named
    from relapsescope.intake.sheet import read_sheet
    from relapsescope.run.leftovers import leftovers, remove
    from relapsescope.run.places import hold_results

    try:
        chosen = read_configuration(config)
        folder = results or Path(chosen["results"])
        if not folder.is_dir():
            raise InputProblem(f"{folder}: there is no such folder; give that of a run")
        libraries = read_sheet(samples or Path(chosen["samples"]))
        clinical = Path(chosen["clinical"]) if chosen["clinical"] else None
        patients = {library.patient_id for library in libraries} | set(patients_named(clinical))
        found = leftovers(
            folder, libraries={library.sample_id for library in libraries}, patients=patients
        )
        if yes and found.paths:
            hold_results(folder)
            remove(found.paths)
    except InputProblem as problem:
        print("\n".join(problem.problems), file=sys.stderr)
        raise typer.Exit(1) from None
    for kind, named in (("library", found.libraries), ("patient", found.patients)):
        for name, paths in named.items():
            print(f"{kind} {name}: {len(paths)} files and folders")
            for path in paths:
                print(f"  {path}")
    if not found.paths:
        print(f"{folder}: nothing is left of a library or patient that is not in the sheet.")
    elif yes:
        print(f"{len(found.paths)} removed; run the workflow again for the cohort's tables.")
    else:
        print(f"{len(found.paths)} files and folders would be removed; say --yes to remove them.")
