"""Where the course's tables lie and what they are made from; light enough for the workflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from relapsescope.course.clinical_columns import COLUMNS

TABLES = (
    "assessments",
    "genetics",
    "curves",
    "medians",
    "tests",
    "salvage",
    "salvage_comparison",
    "contrasts",
    "landmark_curves",
    "sequential",
    "sequential_summary",
    "bulk",
    "bulk_summary",
)
BULK_FILES = ("expression", "survival", "probe_map")
"""Keys of a bulk cohort that name files."""


def course_paths(results: Path) -> dict[str, Path]:
    """Return the path of each table: ``course`` is the contract's, the others are ours."""
    folder = results / "course"
    return {
        "course": results / "tables" / "course.tsv",
        **{name: folder / f"{name}.tsv" for name in TABLES},
    }


def clinical_files(folder: str | None) -> list[str]:
    """Return the clinical tables that are there; none where the folder is empty or absent."""
    if not folder:
        return []
    return [str(path) for name in COLUMNS if (path := Path(folder, f"{name}.tsv")).is_file()]


def bulk_files(cohorts: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the files of the bulk cohorts; a path is relative to the working directory."""
    return [str(cohort[key]) for cohort in cohorts for key in BULK_FILES if cohort.get(key)]
