"""The command `config`: every value of a run's configuration, and where it is from."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from relapsescope.errors import InputProblem
from relapsescope.paths import DEFAULTS
from relapsescope.run.config_file import USUAL, default_values, leaves, origins


def config(
    config: Annotated[
        Path, typer.Option("--config", help="The configuration, or what differs from it.")
    ] = USUAL,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only values other than the shipped ones.")
    ] = False,
) -> None:
    """Print every value of the configuration as a run has it, and the file that it is from.

    One line a key: its place, its value as JSON, the file (`default` for what ships), separated by
    tabs. Whether the values make sense is what `check` says. Exit status 1 where a file cannot be
    read.
    """
    try:
        found = origins(config)
    except InputProblem as problem:
        print("\n".join(problem.problems), file=sys.stderr)
        raise typer.Exit(1) from None
    shipped = dict(leaves(default_values()))
    for place, (value, file) in found.items():
        if not changed or place not in shipped or shipped[place] != value:
            origin = "default" if file == DEFAULTS else str(file)
            print(place, json.dumps(value, default=str, ensure_ascii=False), origin, sep="\t")
