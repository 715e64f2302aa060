"""All tables of the clinical course, written by one job."""

from pathlib import Path

import pandas as pd

from relapsescope.course.clinical import ClinicalTables
from relapsescope.course.endpoints import (
    contrast_table,
    index_lines,
    landmark_curves,
    sequential_table,
    survival_tables,
    with_products,
)
from relapsescope.course.files import course_paths
from relapsescope.course.lines import assessment_table, course_table
from relapsescope.course.salvage import salvage_comparison, salvage_lines
from relapsescope.course.sequential import sequential_pairs, summarise_sequential
from relapsescope.course.settings import CourseSettings
from relapsescope.survival.bulk import bulk_table
from relapsescope.tables import write_tsv


def write_course_tables(
    results: Path,
    clinical: ClinicalTables,
    *,
    settings: CourseSettings,
    bulk_folder: Path,
    seed: int,
) -> None:
    """Write the course, its survival analyses, salvage and the bulk cohorts.

    Parameters
    ----------
    results
        The run's folder.
    clinical
        The checked clinical tables; without rows all tables are written with their columns only.
    settings
        The config's section ``course``.
    bulk_folder
        What relative paths of ``bulk_cohorts`` are relative to.
    seed
        The config's seed, for sampled permutations.

    Raises
    ------
    InputProblem
        Where a bulk cohort cannot be read.
    """
    tables = make_course_tables(clinical, settings=settings, bulk_folder=bulk_folder, seed=seed)
    for name, path in course_paths(results).items():
        table = tables[name]
        filled = table.astype(object).where(table.notna(), None)
        write_tsv(path, list(table), filled.to_dict("records"))


def make_course_tables(
    clinical: ClinicalTables, *, settings: CourseSettings, bulk_folder: Path, seed: int
) -> dict[str, pd.DataFrame]:
    """Return all tables by name; parameters as in :func:`write_course_tables`."""
    inputs = (clinical.patients, clinical.labs, clinical.therapies)
    course = course_table(*inputs, settings=settings)
    products = {
        str(row["patient_id"]): row["car_product"]
        for row in clinical.patients.to_dict("records")
        if row.get("car_product")
    }
    course = with_products(course, products)
    curves, medians, tests = survival_tables(
        index_lines(course, products), settings=settings, seed=seed
    )
    salvage = salvage_lines(course)
    pairs = sequential_pairs(course, long_first_response_days=settings.long_first_response_days)
    summary = summarise_sequential(
        pairs,
        exact_up_to=settings.exact_up_to,
        min_events_per_covariate=settings.min_events_per_covariate,
        seed=seed,
    )
    bulk, bulk_summary = bulk_table(
        settings.bulk_cohorts,
        genes=settings.bulk_genes,
        myeloid_genes=settings.myeloid_genes,
        min_events_per_covariate=settings.min_events_per_covariate,
        folder=bulk_folder,
    )
    return {
        "course": course,
        "assessments": assessment_table(*inputs, settings=settings),
        "genetics": clinical.genetics.sort_values(
            ["patient_id", "day", "assay", "gene_or_arm", "event", "hgvs_p"], kind="stable"
        ),
        "curves": curves,
        "medians": medians,
        "tests": tests,
        "salvage": salvage,
        "salvage_comparison": salvage_comparison(salvage),
        "contrasts": contrast_table(salvage, settings=settings, seed=seed),
        "landmark_curves": landmark_curves(salvage, settings=settings, seed=seed),
        "sequential": pairs,
        "sequential_summary": sequential_table(summary),
        "bulk": bulk,
        "bulk_summary": bulk_summary,
    }
