"""The command `freeze`: make a reference of a finished run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relapsescope.commands.results import UNUSABLE, Results
from relapsescope.errors import InputProblem


def freeze(
    results: Results,
    folder: Annotated[Path, typer.Argument(help="Folder to write; must be absent or empty.")],
    name: Annotated[str, typer.Option(help="Its name and version [default: the folder's].")] = "",
    add: Annotated[
        Path | None,
        typer.Option(help="An earlier reference, whose people the new one is to hold too."),
    ] = None,
) -> None:
    """Make a reference of a finished run, on which new samples can be judged.

    It holds sums over groups of cells of libraries without CAR-T, and the atlas, under numbered
    names: no barcode, no name, no day, no counts of a single cell. Use it with
    `--config reference=FOLDER`. Exit status 0 when it was written, 2 when a folder cannot be used.
    """
    from relapsescope.provenance.record import git_commit, versions
    from relapsescope.reference.freeze import freeze as write_reference

    code = {"git_commit": git_commit(), "versions": versions()}
    try:
        manifest = write_reference(results, folder, name=name, add=add, code=code)
    except InputProblem as problem:
        print("\n".join(problem.problems), file=sys.stderr)
        raise typer.Exit(UNUSABLE) from None
    made = manifest.made_from
    print(f"{folder}: {made['n_libraries']} libraries of {made['n_people']} people frozen.")


COMMANDS = (freeze,)
