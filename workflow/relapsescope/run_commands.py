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


COMMANDS = (figures,)


def _unusable(problem: InputProblem) -> None:
    print("\n".join(problem.problems), file=sys.stderr)
    raise typer.Exit(UNUSABLE)
