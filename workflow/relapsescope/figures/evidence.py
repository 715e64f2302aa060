"""What figures and pages are made from: the tables of a run, read once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from relapsescope.antigens.files import molecular_paths
from relapsescope.car_t.files import CAR_TABLES
from relapsescope.clones.files import CLONE_FILES
from relapsescope.course.files import course_paths
from relapsescope.mechanisms.files import ANSWER_TABLES
from relapsescope.microenvironment.files import niche_paths
from relapsescope.paths import patient_paths
from relapsescope.programmes.files import programme_paths
from relapsescope.t_cells.files import t_cell_paths
from relapsescope.tables import frame_as_meant, read_tsv

CELL_COLUMNS = (
    "sample_id",
    "patient_id",
    "timepoint",
    "total_counts",
    "n_genes_by_counts",
    "pct_counts_mt",
    "doublet_score",
    "predicted_doublet",
    "qc_pass",
    "qc_reason",
    "lineage",
    "cell_type",
    "umap_1",
    "umap_2",
    "leiden",
)
PROGRAMME_TEXT = (
    "comparison",
    "patient_id",
    "clone_id",
    "gene",
    "set_aside",
    "change",
    "arm_change",
)
PROGRAMME_NUMBERS = (
    "log2_fold_change",
    "did_log2_fold_change",
    "ci_low",
    "ci_high",
    "score",
    "p_value",
    "adjusted_p_value",
)
REPEATED = ("sample_id", "patient_id", "timepoint", "qc_reason", "lineage", "cell_type", "leiden")


@dataclass(frozen=True)
class Evidence:
    """The tables of one run.

    Attributes
    ----------
    cells
        One row a barcode, columns `CELL_COLUMNS`; repeated text as categories.
    samples
        One row a library, as in `samples.tsv`, in the sheet's order.
    libraries
        The content of each library's `library.json`, by sample.
    microenvironment, integration, markers
        Tables as written; empty where the step was not run.
    sheet
        The sample sheet's rows by sample; empty where it was not given.
    course
        The tables of the clinical course by name (`course_files.course_paths`), all fields text.
    clonal
        ``clones`` (`tables/clones.tsv`, all fields text), ``plasma`` (every plasma cell with its
        calls) and ``cell_arms`` (copy number by cell and arm); donors are in the last two.
    clone_summaries
        The content of each patient's and donor's `clones.json`, by patient.
    normal_plasma
        The content of `clones/normal_plasma.json`: what the panel was made of.
    molecular
        The tables of antigens, ANXA1 and targets by name (`antigens.files.MOLECULAR_TABLES`), all
        fields text.
    programmes
        ``genes`` (columns `PROGRAMME_COLUMNS` of `tables/programmes.tsv`, of genes compared),
        ``comparisons`` and ``enrichment`` (all fields text).
    niche
        The tables of the microenvironment beside its composition, by name
        (`microenvironment.files.NICHE_TABLES`), all fields text.
    answers
        ``mechanisms``, ``answers`` and ``claims`` (`answer_tables.ANSWER_TABLES`), all fields text.
    car
        ``car_t`` and ``exhaustion`` (`car_t.files.CAR_TABLES`), all fields text.
    t_cells
        The tables of T cells by name (`t_cells.files.T_CELL_TABLES`), all fields text.
    """

    cells: pd.DataFrame
    samples: pd.DataFrame
    libraries: dict[str, dict[str, Any]]
    microenvironment: pd.DataFrame
    integration: pd.DataFrame
    markers: pd.DataFrame
    sheet: dict[str, dict[str, str]]
    course: dict[str, pd.DataFrame]
    clonal: dict[str, pd.DataFrame]
    clone_summaries: dict[str, dict[str, Any]]
    normal_plasma: dict[str, Any]
    molecular: dict[str, pd.DataFrame]
    programmes: dict[str, pd.DataFrame]
    niche: dict[str, pd.DataFrame]
    answers: dict[str, pd.DataFrame]
    car: dict[str, pd.DataFrame]
    t_cells: dict[str, pd.DataFrame]

    @property
    def sample_ids(self) -> list[str]:
        """Libraries in the order in which they are shown."""
        return list(self.samples["sample_id"])

    @property
    def verdicts(self) -> dict[str, str]:
        """Verdict by library."""
        return dict(zip(self.samples["sample_id"], self.samples["verdict"], strict=True))

    def n_patients(self, sample_ids: Sequence[str] | None = None) -> int:
        """Return how many patients (or donors) the libraries come from; all by default."""
        pairs = self.cells[["sample_id", "patient_id"]].drop_duplicates()
        if sample_ids is not None:
            pairs = pairs[pairs["sample_id"].isin(list(sample_ids))]
        return int(pairs["patient_id"].nunique())


def read_evidence(results: Path, *, sheet: Sequence[Mapping[str, Any]] = ()) -> Evidence:
    """Read the tables of a run.

    Parameters
    ----------
    results
        The run's folder. Only `tables/cells.parquet` and `tables/samples.tsv` must be there.
    sheet
        The sample sheet's rows; what they say of tissue, sorting and day is shown where given.
    """
    samples = _read_text(results / "tables" / "samples.tsv")
    libraries = {}
    for name in samples["sample_id"]:
        path = results / "libraries" / name / "library.json"
        if path.is_file():
            libraries[name] = json.loads(path.read_text(encoding="utf-8"))
    cells = _read_cells(results / "tables" / "cells.parquet")
    files = [patient_paths(results, name, CLONE_FILES) for name in cells["patient_id"].unique()]
    summaries = [_read_json(Path(paths["summary"])) for paths in files]
    return Evidence(
        cells=cells,
        samples=samples,
        libraries=libraries,
        microenvironment=_read_text(results / "tables" / "microenvironment.tsv"),
        integration=_read_text(results / "atlas" / "integration.tsv"),
        markers=_read_text(results / "atlas" / "markers.tsv"),
        sheet={
            str(row["sample_id"]): {k: "" if v is None else str(v) for k, v in row.items()}
            for row in sheet
        },
        course=read_course(results),
        clonal={
            "clones": _with_clone(_read_text(results / "tables" / "clones.tsv")),
            "plasma": _read_parts([Path(paths["cells"]) for paths in files]),
            "cell_arms": _read_parts([Path(paths["cell_arms"]) for paths in files]),
        },
        clone_summaries={found["patient_id"]: found for found in summaries if found},
        normal_plasma=_read_json(results / "clones" / "normal_plasma.json"),
        t_cells={name: _read_text(Path(path)) for name, path in t_cell_paths(results).items()},
        molecular={name: _read_text(Path(path)) for name, path in molecular_paths(results).items()},
        programmes=read_programmes(results),
        niche={name: _read_text(Path(path)) for name, path in niche_paths(results).items()},
        answers={name: _read_text(results / "tables" / f"{name}.tsv") for name in ANSWER_TABLES},
        car={name: _read_text(results / "tables" / f"{name}.tsv") for name in CAR_TABLES},
    )


def read_course(results: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of the clinical course; empty frames where a file is absent."""
    return {name: _read_text(path) for name, path in course_paths(results).items()}


def _read_cells(path: Path) -> pd.DataFrame:
    table = pq.read_table(path, columns=list(CELL_COLUMNS))
    cells = table.to_pandas(self_destruct=True, strings_to_categorical=True)
    for name in REPEATED:
        if not isinstance(cells[name].dtype, pd.CategoricalDtype):
            cells[name] = cells[name].astype("string").astype("category")
    cells["qc_pass"] = cells["qc_pass"].fillna(False).astype(bool)
    cells["predicted_doublet"] = cells["predicted_doublet"].fillna(False).astype(bool)
    return cells


def read_programmes(results: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of gene programmes; of genes what panels show, in numbers."""
    paths = {name: Path(path) for name, path in programme_paths(results).items()}
    columns = [*PROGRAMME_TEXT, *PROGRAMME_NUMBERS]
    genes = pd.DataFrame(columns=columns)
    if paths["programmes"].is_file():
        kinds = dict.fromkeys(PROGRAMME_TEXT, "str") | dict.fromkeys(PROGRAMME_NUMBERS, "float64")
        genes = pd.read_csv(
            paths["programmes"],
            sep="\t",
            usecols=columns,
            dtype=kinds,
            keep_default_na=False,
            na_values={name: [""] for name in PROGRAMME_NUMBERS},
        )
        genes = frame_as_meant(genes[genes["set_aside"] == ""]).reset_index(drop=True)
    return {
        "genes": genes,
        "comparisons": _read_text(paths["programme_comparisons"]),
        "enrichment": _read_text(paths["enrichment"]),
    }


def _read_parts(paths: Sequence[Path]) -> pd.DataFrame:
    """Return the patients' tables one after another, those without a row left out."""
    parts = [pd.read_parquet(path) for path in paths if path.is_file()]
    parts = [part for part in parts if not part.empty]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _with_clone(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are about a clone; others say why a relapse has none."""
    return table if table.empty else table[table["clone_id"] != ""].reset_index(drop=True)


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _read_text(path: Path) -> pd.DataFrame:
    """Return a table with all fields as text, empty where the file is absent."""
    if not path.is_file():
        return pd.DataFrame()
    return read_tsv(path)
