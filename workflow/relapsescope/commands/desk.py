"""The command `desk`: a page on this machine for people who use no shell."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relapsescope.errors import InputProblem


def desk(
    *,
    inbox: Annotated[Path, typer.Argument(help="The drop folder that samples are handed in to.")],
    sheet: Annotated[Path, typer.Option("--sheet", help="The study's sample sheet.")] = Path(
        "config/samples.tsv"
    ),
    results: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("results"),
    clinical: Annotated[str, typer.Option(help="Folder of clinical tables [default: none].")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8756,
    most_gb: Annotated[float, typer.Option(min=0.001, help="Most GB of one sample.")] = 20.0,
    most_files: Annotated[int, typer.Option(min=1, help="Most files of one sample.")] = 200,
) -> None:
    """Serve a page on this machine: hand samples in, see the queue, the run and the dossiers.

    Prints one address with a token; whoever opens it may hand in. Nobody else can, and only this
    machine is answered. Ctrl-C ends it. Exit status 0, or 1 where it cannot be started.
    """
    from relapsescope.desk.server import serve
    from relapsescope.desk.uploads import Limits
    from relapsescope.desk.view import Study

    study = Study(inbox, sheet, results, Path(clinical) if clinical else None)
    limits = Limits(n_bytes=int(most_gb * 1e9), n_files=most_files)
    try:
        serve(study, limits, port, tell=_tell)
    except InputProblem as problem:
        print("\n".join(problem.problems), file=sys.stderr)
        raise typer.Exit(1) from None
    print("The desk is closed.")


def _tell(address: str) -> None:
    print(f"{address}\nOpen this address in a browser of this machine; Ctrl-C ends.", flush=True)
