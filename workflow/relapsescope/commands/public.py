"""The command `fetch`: a public cohort by its accession, the one thing that uses the network."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relapsescope.commands.results import UNUSABLE
from relapsescope.errors import InputProblem


def fetch(
    accession: Annotated[
        str, typer.Argument(help="Which cohort, as `fetch --list` names it.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Where to put it [default: public/ACCESSION].")
    ] = None,
    offline: Annotated[
        Path | None, typer.Option(help="A folder with the files; nothing is asked of the network.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the cohorts and their sizes.")] = False,
) -> None:
    """Fetch a public cohort and write its sample sheet.

    Downloads go on where they broke off; checksums are compared, and those of a first use kept in
    `fetched.tsv`. What the deposit does not say stays empty in `samples.tsv`: fill it in, then run
    `check`. Exit status 0 when all files are there, 2 when something could not be had.
    """
    from relapsescope.public_cohorts.catalogue import files_of, listing, read_catalogue
    from relapsescope.public_cohorts.download import fetch_file, say
    from relapsescope.public_cohorts.recipes import prepare

    catalogue = read_catalogue()
    try:
        if show or not accession:
            print(listing(files_of(accession, catalogue) if accession else catalogue))
            return
        files = files_of(accession, catalogue)
        place = folder or Path("public") / files[0].accession
        if not all(one.verified for one in files):
            say(f"{files[0].accession}: names and places of its files were not verified")
        fetched = [fetch_file(one, place, offline=offline, tell=say) for one in files]
        n = prepare(files[0].accession, place, fetched)
    except InputProblem as problem:
        print("\n".join(problem.problems), file=sys.stderr)
        raise typer.Exit(UNUSABLE) from None
    print(
        f"{place}: {len(fetched)} files, {n} libraries in samples.tsv; ABOUT.md says what is known."
    )


COMMANDS = (fetch,)
