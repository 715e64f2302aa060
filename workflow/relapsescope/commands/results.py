"""Commands that take the folder of a run that has ended."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relapsescope.errors import InputProblem

Results = Annotated[Path, typer.Argument(help="Folder of the run.")]
UNUSABLE = 2
"""Exit status where a folder cannot be used, apart from 1 for "these differ"."""


def figures(results: Results) -> None:
    """Draw every figure of a run again, from source_data/ and figures/manifest.tsv alone.

    Needs no matrices and no tables. Pictures that come out as they were are left alone. Exit
    status 0 when all were drawn, 2 when the folder cannot be used.
    """
    from relapsescope.figures.redraw import redraw

    try:
        redrawn = redraw(results)
    except InputProblem as problem:
        _unusable(problem)
    for panel in redrawn.edited:
        print(
            f"warning: source_data/{panel}.csv is not the one that the manifest was written for",
            file=sys.stderr,
        )
    for name in redrawn.changed:
        print(f"figures/{name}: changed")
    same = len(redrawn.pictures) - len(redrawn.changed)
    print(f"{len(redrawn.pictures)} figures drawn; {same} as they were before.")


def compare(
    results: Results,
    deposited: Annotated[
        Path, typer.Argument(help="Folder of the run to compare with, or of a deposit of it.")
    ],
    quiet: Annotated[bool, typer.Option("--quiet", help="Leave out what passes.")] = False,
) -> None:
    """Say for every panel and table of a deposited run whether this one says the same.

    PASS means identical, WITHIN TOLERANCE that the differences are those which another machine
    or version may make, DIFFERS anything else, with the numbers. Exit status 0 when nothing
    differs, 1 when something does, 2 when a folder cannot be used.
    """
    from relapsescope.deposit.compare import (
        DIFFERS,
        PASS,
        WITHIN,
        circumstances,
        compare_runs,
        lines_of,
        only_in_run,
    )

    try:
        findings = compare_runs(results, deposited)
        extra = only_in_run(results, deposited)
        reasons = circumstances(results, deposited)
    except InputProblem as problem:
        _unusable(problem)
    shown = [finding for finding in findings if not quiet or finding.status != PASS]
    for line in lines_of(shown):
        print(line)
    if extra:
        print(f"only in {results}: {', '.join(extra)}")
    counts = dict.fromkeys((PASS, WITHIN, DIFFERS), 0)
    for finding in findings:
        counts[finding.status] += 1
    if counts[PASS] < len(findings):
        for reason in reasons:
            print(f"note: {reason}")
    print(f"{len(findings)} compared: " + ", ".join(f"{n} {s}" for s, n in counts.items()))
    raise typer.Exit(int(counts[DIFFERS] > 0))


def deposit(
    results: Results,
    folder: Annotated[Path, typer.Argument(help="Folder to write; a former deposit is replaced.")],
) -> None:
    """Keep what others need to compare their run with this one: tables and key numbers.

    Exit status 0 when it was written, 2 when a folder cannot be used.
    """
    from relapsescope.deposit.expected import write_deposit

    try:
        files = write_deposit(results, folder)
    except InputProblem as problem:
        _unusable(problem)
    size = sum(path.stat().st_size for path in files)
    print(f"{folder}: {len(files)} files, {size / 1e6:.1f} MB.")


def crate(
    results: Results,
    licence: Annotated[
        str, typer.Option(help="Address of the licence under which the results may be used.")
    ] = "",
    agent: Annotated[str, typer.Option(help="Who ran it: a person or an organisation.")] = "",
    orcid: Annotated[str, typer.Option(help="The person's ORCID iD, 0000-0002-1825-0097.")] = "",
) -> None:
    """Describe a run as an RO-Crate: ro-crate-metadata.json in its folder.

    Reads every input matrix once, for its hash. Exit status 0 when it was written, 2 when the
    folder cannot be used.
    """
    from relapsescope.deposit.crate import write_crate

    try:
        path, untold = write_crate(results, licence=licence, agent=agent, orcid=orcid)
    except InputProblem as problem:
        _unusable(problem)
    for line in untold:
        print(f"warning: {line}", file=sys.stderr)
    print(f"{path}: written.")


COMMANDS = (figures, compare, deposit, crate)


def _unusable(problem: InputProblem) -> None:
    print("\n".join(problem.problems), file=sys.stderr)
    raise typer.Exit(UNUSABLE)
