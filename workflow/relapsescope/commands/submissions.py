"""Commands of a laboratory that hands samples in: `submit`, `inbox`, `forget`, `sheet`."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from relapsescope.errors import InputProblem

Sheet = Annotated[Path, typer.Option("--sheet", help="The study's sample sheet.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
SHEET, RESULTS = Path("config/samples.tsv"), Path("results")


def submit(
    *,
    folder: Annotated[
        Path, typer.Argument(help="Cell Ranger's outs, a 10x folder, or a matrix file.")
    ],
    sheet: Sheet = SHEET,
    patient: Annotated[str, typer.Option(help="Pseudonym of the patient.")] = "",
    timepoint: Annotated[str, typer.Option(help="E.g. pre_infusion or relapse.")] = "",
    day: Annotated[str, typer.Option(help="Whole days from CAR-T infusion.")] = "",
    tissue: Annotated[str, typer.Option(help="[default: bone_marrow]")] = "",
    sorting: Annotated[str, typer.Option(help="[default: none]")] = "",
    sample: Annotated[str, typer.Option(help="Its name [default: patient and timepoint].")] = "",
    car_feature: Annotated[str, typer.Option(help="Name of the CAR in the matrix.")] = "",
    chemistry: Annotated[str, typer.Option(help="Free text.")] = "",
    name: Annotated[str, typer.Option(help="Which of several libraries in the folder.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Check one library and enter it into a study's sheet.

    What is not given may stand in `sample.yaml` in the folder. Every problem is one line, and then
    nothing is changed. A run at work goes on without it. Exit status 0 when the sample is entered
    or was already, else 1.
    """
    from relapsescope.submissions.submission import KNOWN
    from relapsescope.submissions.submission import submit as hand_in

    answers = {
        "patient_id": patient,
        "timepoint": timepoint,
        "day": day,
        "tissue": tissue,
        "sorting": sorting,
        "sample_id": sample,
        "car_feature": car_feature,
        "chemistry": chemistry,
        "name": name,
    }
    try:
        entry = hand_in(folder, sheet, answers, dry_run=dry_run)
    except InputProblem as problem:
        _refused(problem)
    for line in entry.warnings:
        print(f"warning: {line}", file=sys.stderr)
    row = entry.row
    if entry.state == KNOWN:
        print(f"{row['sample_id']}: entered already with the same counts; nothing changed.")
        return
    print(f"{row['sample_id']}: {'would be entered' if dry_run else 'entered'} into {sheet}.")
    print(
        f"The next run reads this library, judges patient {row['patient_id']} anew and joins the "
        "tables; the other libraries are kept."
    )


def inbox(
    folder: Annotated[Path, typer.Argument(help="The drop folder.")],
    once: Annotated[bool, typer.Option("--once", help="Go through it once, as from cron.")] = False,
    sheet: Sheet = SHEET,
) -> None:
    """Enter or refuse every finished submission of a drop folder.

    A submission is a folder with `sample.yaml` and the file READY, made last. It is moved to
    accepted/ or refused/, with the reason in why.txt. Exit status 0 also where some are refused.
    """
    from relapsescope.submissions.inbox import work_through

    if not once:
        _refused(InputProblem("--once: is not said; run this from cron with --once"))
    try:
        handled = work_through(folder, sheet, tell=print)
    except InputProblem as problem:
        _refused(problem)
    for one in handled:
        print(f"{one.name}\t{one.state}\t{' | '.join(one.lines)}")


def forget(
    sample: Annotated[str, typer.Argument(help="The sample's name.")],
    sheet: Sheet = SHEET,
    results: Annotated[Path, typer.Option(help="Folder of the run.")] = RESULTS,
    dry_run: DryRun = False,
) -> None:
    """Take a sample out of a study: its row, its results and what was joined from it.

    The files that it was handed in with stay. Exit status 0 when it is out, else 1.
    """
    from relapsescope.submissions.forget import forget as take_out

    try:
        out = take_out(sample, sheet, results, dry_run=dry_run)
    except InputProblem as problem:
        _refused(problem)
    for path in out.removed:
        print(f"{'would remove' if dry_run else 'removed'}: {path}")
    print(f"{sample}: {'would be taken' if dry_run else 'taken'} out of {sheet}; run again.")
    print(f"Its counts are still in {out.matrix}; delete them yourself where they must go.")


def sheet(
    folders: Annotated[list[Path], typer.Argument(help="Trees of Cell Ranger's outputs.")],
    output: Annotated[Path, typer.Option(help="The sheet to write.")] = SHEET,
    split_by: Annotated[
        str,
        typer.Option(
            help="Of one matrix of several libraries: the column of obs that names them, e.g. "
            "obs.sample, or barcode for what stands around the barcodes' bases (-1, -2)."
        ),
    ] = "",
) -> None:
    """Write a sample sheet from trees of Cell Ranger's outputs, or from a matrix of several.

    What the files tell is filled in; patients, and what no folder's name says, are left for you.
    With --split-by a list of barcodes a library is written beside the sheet.
    """
    from relapsescope.submissions.new_sheet import write_sheet
    from relapsescope.submissions.split_file import write_split

    try:
        if split_by and len(folders) != 1:
            raise InputProblem("--split-by: give one matrix")
        rows = (
            write_split(folders[0], split_by, output) if split_by else write_sheet(folders, output)
        )
    except InputProblem as problem:
        _refused(problem)
    for number, row in enumerate(rows, 2):
        empty = [name for name in ("patient_id", "timepoint", "tissue") if not row.get(name)]
        print(f"{output.name}:{number} {row['sample_id']}: fill in {', '.join(empty)}")
    print(f"{output}: {len(rows)} libraries; then `relapsescope check --samples {output}`.")


def _refused(problem: InputProblem) -> NoReturn:
    print("\n".join(problem.problems), file=sys.stderr)
    raise typer.Exit(1)


COMMANDS = (sheet, submit, inbox, forget)
