"""The command line: check inputs, simulate a cohort, see how far a run is, work on its results."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relapsescope import __version__
from relapsescope.commands import configuration, desk, objects, plan, prune, public
from relapsescope.commands import reference as reference_commands
from relapsescope.commands import results as results_commands
from relapsescope.commands import submissions as submission_commands
from relapsescope.errors import InputProblem
from relapsescope.paths import REPOSITORY
from relapsescope.run.config_file import USUAL, read_configuration

app = typer.Typer(
    help="Which myeloma cells came back after CAR-T, and why were they not killed? "
    "For research use only. The workflow itself is run with Snakemake: see README.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path, typer.Option("--config", help="The configuration, or what differs from it.")
]
SamplesOption = Annotated[
    Path | None, typer.Option(help="The sample sheet [default: `samples` in the configuration].")
]


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Read the options that stand before a command."""
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def check(
    samples: SamplesOption = None,
    clinical: Annotated[
        str | None,
        typer.Option(
            help='Folder of clinical tables, "" for none [default: that of the configured sheet].'
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="shipped, none, or a frozen reference's folder [default: that of the "
            "configuration]."
        ),
    ] = None,
    config: ConfigOption = USUAL,
) -> None:
    """Check the configuration, the sheet, the clinical tables and every matrix; change nothing.

    Prints one line a problem (where, what, what to do). Exit status 0 when there is none, else 1.
    Says too what these libraries cannot decide, and what to add.
    """
    from relapsescope.run.foreseen import foreseen
    from relapsescope.run.start import check_run
    from relapsescope.settings import plain_values

    try:
        chosen = plain_values(read_configuration(config))
        if samples:
            # The configured clinical tables belong to the configured sheet, not to another one.
            chosen |= {"samples": str(samples), "clinical": ""}
        if clinical is not None:
            chosen["clinical"] = clinical
        if reference is not None:
            chosen["reference"] = reference
        checked = check_run(chosen)
    except InputProblem as problem:
        _stop(problem)
    for line in foreseen(checked.libraries, chosen):
        print(f"note: {line}", file=sys.stderr)
    patients = {library.patient_id for library in checked.libraries}
    print(
        f"{chosen['samples']}: {len(checked.libraries)} libraries of {len(patients)} patients, "
        "no problem."
    )


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Folder to write; must be absent or empty.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    scale: Annotated[float, typer.Option(help="Multiplies the number of cells.")] = 1.0,
    plan: Annotated[
        Path | None,
        typer.Option(help="Plan of the cohort [default: resources/simulate/demo.yaml]."),
    ] = None,
) -> None:
    """Write a cohort with known truth: matrices, sheet, clinical tables, and `truth/`."""
    from relapsescope.simulate import simulate_cohort

    if folder.exists() and not folder.is_dir():
        _stop(InputProblem(f"{folder}: not a folder; name another one"))
    if folder.exists() and any(folder.iterdir()):
        _stop(InputProblem(f"{folder}: not empty; name another folder or remove it"))
    try:
        simulate_cohort(
            folder,
            plan=plan or REPOSITORY / "resources/simulate/demo.yaml",
            seed=seed,
            scale=scale,
        )
    except InputProblem as problem:
        _stop(problem)
    print(f"{folder}: written; `samples.tsv` is its sheet and `truth/` holds what is true.")


@app.command()
def status(
    samples: SamplesOption = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of the run [default: that of the configuration].")
    ] = None,
    config: ConfigOption = USUAL,
) -> None:
    """Say which libraries are done, with their verdicts, and whether the report is there."""
    from relapsescope.run.progress import WAITING, run_progress

    try:
        defaults = read_configuration(config)
        clinical = Path(defaults["clinical"]) if defaults["clinical"] else None
        sheet, folder = samples or Path(defaults["samples"]), results or Path(defaults["results"])
        found = run_progress(sheet, folder, clinical=clinical)
    except InputProblem as problem:
        _stop(problem)
    for library in found.libraries:
        told = [library.reason] if library.state != WAITING else []
        print("\t".join([library.sample_id, library.state, *told]))
    for name in found.gone:
        print(f"{name}\tnot in the sheet\tits files are still there: relapsescope prune")
    n = len(found.libraries)
    print(f"{found.n_done} of {n} libraries done; report: {found.report or '-'}")


COMMANDS = (
    *results_commands.COMMANDS,
    *objects.COMMANDS,
    *reference_commands.COMMANDS,
    *submission_commands.COMMANDS,
    *public.COMMANDS,
    configuration.config,
    desk.desk,
    plan.plan,
    prune.prune,
)
for command in COMMANDS:
    app.command()(command)


def _stop(problem: InputProblem) -> None:
    print("\n".join(problem.problems), file=sys.stderr)
    print(f"{len(problem.problems)} problem(s) found.", file=sys.stderr)
    raise typer.Exit(1)
