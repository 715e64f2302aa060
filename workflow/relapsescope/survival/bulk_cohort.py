"""Bulk cohorts as users have them: an expression table and a survival table, read and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relapsescope.errors import InputProblem
from relapsescope.survival.settings import BulkCohortSettings

MIN_PATIENTS = 10


@dataclass(frozen=True)
class BulkCohort:
    """One cohort as read: log2 expression of the wanted genes, and survival.

    Parameters
    ----------
    name
        As the config has it.
    expression
        (patients, genes) log2 values; columns are gene symbols.
    features
        The row of the expression table that stands for each gene (a probe, or the symbol).
    time, event
        By patient.
    covariates
        By patient, numbers; text columns are turned into indicators of their levels.
    notes
        What was left out.
    """

    name: str
    expression: pd.DataFrame
    features: dict[str, str]
    time: pd.Series
    event: pd.Series
    covariates: pd.DataFrame
    notes: tuple[str, ...]


def read_bulk_cohort(
    entry: BulkCohortSettings, genes: Sequence[str], *, folder: Path
) -> BulkCohort:
    """Return one cohort of the config's ``bulk_cohorts``.

    Parameters
    ----------
    entry
        Where its tables are, and how they are to be read.
    genes
        Symbols to keep.
    folder
        What relative paths are relative to.

    Raises
    ------
    InputProblem
        With one line for each thing that is wrong.
    """
    name = entry.name
    paths = {
        key: folder / path
        for key in ("expression", "survival", "probe_map")
        if (path := getattr(entry, key))
    }
    problems = [
        f"config course.bulk_cohorts {name}: {key} {path} does not exist; correct the path"
        for key, path in paths.items()
        if not path.is_file()
    ]
    if problems:
        raise InputProblem(*problems)
    survival = _read_survival(entry, paths["survival"])
    expression, features = _read_expression(entry, paths, genes)
    shared = [patient for patient in survival.index if patient in expression.index]
    if len(shared) < MIN_PATIENTS:
        raise InputProblem(
            f"config course.bulk_cohorts {name}: only {len(shared)} patients are in both tables; "
            "the expression table's header must hold the survival table's patients"
        )
    notes = []
    for label, count in (
        ("survival without expression", len(survival) - len(shared)),
        ("expression without survival", len(expression) - len(shared)),
    ):
        notes += [f"{count} patients have {label}"] if count else []
    missing = [gene for gene in genes if gene not in expression]
    notes += [f"not in the expression table: {', '.join(missing)}"] if missing else []
    survival = survival.loc[shared]
    columns = list(entry.covariates)
    return BulkCohort(
        name,
        expression.loc[shared],
        features,
        survival["time"],
        survival["event"],
        _numbers(survival[columns]),
        tuple(notes),
    )


def _read_survival(entry: BulkCohortSettings, path: Path) -> pd.DataFrame:
    table = _read_table(path)
    name, covariates = entry.name, list(entry.covariates)
    wanted = {
        "patient": entry.patient_column,
        "time": entry.time_column,
        "event": entry.event_column,
    }
    absent = [c for c in [*wanted.values(), *covariates] if c not in table]
    if absent:
        raise InputProblem(
            *(f"{path.name} ({name}): column {column} is missing" for column in absent)
        )
    problems = []
    for line, row in enumerate(table.to_dict("records"), start=2):
        time, event = row[wanted["time"]], row[wanted["event"]]
        if time and not _is_number(time, low=0):
            problems.append(f"{path.name}:{line} {wanted['time']}: {time!r} is no time")
        if event not in ("0", "1", ""):
            problems.append(f"{path.name}:{line} {wanted['event']}: {event!r} is neither 0 nor 1")
    patients = table[wanted["patient"]]
    repeated = patients[patients.duplicated()].unique()
    problems += [f"{path.name} ({name}): patient {p} has several rows" for p in repeated]
    if problems:
        raise InputProblem(*problems)
    known = (table[wanted["time"]] != "") & (table[wanted["event"]] != "")
    kept = table[known].set_index(wanted["patient"])
    times = pd.to_numeric(kept[wanted["time"]]).astype(float)
    events = kept[wanted["event"]] == "1"
    return pd.concat([kept[covariates], times.rename("time"), events.rename("event")], axis=1)


def _read_expression(
    entry: BulkCohortSettings, paths: Mapping[str, Path], genes: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    name = entry.name
    table = _read_table(paths["expression"])
    symbols = table.iloc[:, 0]
    if "probe_map" in paths:
        probes = _read_table(paths["probe_map"])
        mapping = dict(zip(probes.iloc[:, 0], probes.iloc[:, 1], strict=True))
        symbols = symbols.map(mapping).fillna("")
    kept = table[symbols.isin(list(genes))]
    values = kept.iloc[:, 1:].apply(pd.to_numeric, errors="coerce")
    if values.isna().any(axis=None):
        raise InputProblem(
            f"{paths['expression'].name} ({name}): rows of {', '.join(symbols[kept.index])} hold "
            "text or empty fields; give numbers"
        )
    values.index = kept.iloc[:, 0]
    owner = symbols[kept.index].to_numpy()
    if not entry.log_scale:
        if (values < 0).any(axis=None):
            raise InputProblem(
                f"{paths['expression'].name} ({name}): negative values; set log_scale: true if "
                "the values are log2 already"
            )
        values = np.log2(values + 1)
    features = {}
    for gene in genes:
        rows = np.flatnonzero(owner == gene)
        if len(rows):
            # Of several probes the brightest, which no outcome has chosen.
            brightest = rows[int(np.argmax(values.iloc[rows].mean(axis=1).to_numpy()))]
            features[gene] = brightest
    expression = pd.DataFrame(
        {gene: values.iloc[row].to_numpy() for gene, row in features.items()},
        index=values.columns,
    )
    return expression, {gene: str(values.index[row]) for gene, row in features.items()}


def _numbers(covariates: pd.DataFrame) -> pd.DataFrame:
    """Return covariates as numbers; text becomes indicators against its first level."""
    columns = {}
    for name in covariates:
        values = covariates[name].where(covariates[name] != "")
        numeric = pd.to_numeric(values, errors="coerce")
        if numeric.notna().sum() == values.notna().sum():
            columns[name] = numeric.astype(float)
            continue
        for level in sorted(values.dropna().unique())[1:]:
            columns[f"{name}={level}"] = (values == level).astype(float).where(values.notna())
    return pd.DataFrame(columns, index=covariates.index)


def _read_table(path: Path) -> pd.DataFrame:
    separator = "," if ".csv" in path.suffixes else "\t"
    return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)


def _is_number(text: str, *, low: float) -> bool:
    try:
        return float(text) >= low
    except ValueError:
        return False
