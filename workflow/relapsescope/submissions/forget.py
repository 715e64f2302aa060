"""Take a sample out again: its row, its results, and what was joined from it."""

from dataclasses import dataclass
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.intake.kept_sheet import KEPT
from relapsescope.intake.sheet import read_sheet
from relapsescope.run.leftovers import files_of_library, files_of_patient, remove
from relapsescope.run.places import refuse_during_run
from relapsescope.submissions.sheet_file import locked, read_lines, without_sample, write_lines

# What is made of all samples together, and made again by the next run.
JOINED = (
    *("tables", "figures", "source_data", "report", "atlas", "clones", "cellxgene", "mqc"),
    # Left by a run that was killed.
    KEPT,
)
# What Snakemake and the header check remember of files.
REMEMBERED = (Path(".snakemake/relapsescope/headers.json"),)


@dataclass(frozen=True)
class Forgotten:
    """What was taken out: the paths removed, and the matrix, which stays where it is."""

    removed: tuple[Path, ...]
    matrix: Path


def forget(
    sample_id: str, sheet: Path, results: Path, *, dry_run: bool = False, here: Path = Path()
) -> Forgotten:
    """Take a sample out of a study and return what was removed.

    Removed are its row, its own results, its patient's (which are made of all the patient's
    samples) and what is joined over samples, since that holds it too. The files that it was
    handed in with are not touched.

    Raises
    ------
    InputProblem
        Where the sheet has no such sample, or a run is at work in `results`.
    """
    refuse_during_run(results, "take the sample out")
    with locked(sheet):
        libraries = {one.sample_id: one for one in read_sheet(sheet)}
        if sample_id not in libraries:
            raise InputProblem(f"{sheet}: there is no sample {sample_id!r}; correct the name")
        library = libraries[sample_id]
        paths = traces(sample_id, library.patient_id, results, here)
        if not dry_run:
            write_lines(sheet, without_sample(read_lines(sheet), sample_id))
            remove(paths)
    return Forgotten(tuple(paths), Path(library.counts))


def traces(sample_id: str, patient_id: str, results: Path, here: Path) -> list[Path]:
    """Return what of a sample and its patient lies in a folder of results, and beside it."""
    joined = [results / name for name in JOINED]
    own = [*files_of_library(results, sample_id), *files_of_patient(results, patient_id)]
    own = [path for path in own if not any(path.is_relative_to(whole) for whole in joined)]
    return [path for path in (*own, *joined, *(here / one for one in REMEMBERED)) if path.exists()]
