"""The numbers of a cohort of many patients, made of a small run's: some patients many times."""

import pandas as pd
from relapsescope.figures.draw import read_source_data

MOST = {"volcano": 6, "enrichment": 12, "m_protein_curves": 6}
"""Copies of the patients that these panels show at most."""


def grown(panel, run, *, patients, times):
    """Return a panel's source data with `times` copies of the rows that name these patients.

    Libraries and labels that begin with a patient's name are the copy's own too.
    """
    frame = read_source_data(panel, run)
    text = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    own = frame[[named(row, patients) for row in frame[text].itertuples(index=False)]]
    copies = range(1, min(times, MOST.get(panel.name, times)))
    parts = [frame]
    for copy in copies:
        part = own.copy()
        for column in text:
            part[column] = [other(value, patients, copy) for value in own[column]]
        parts.append(part)
    found = pd.concat(parts, ignore_index=True)
    if "row" in found:
        cell = ["patient_id", "clone_id", "sample_id", "barcode"]
        found["row"] = found.groupby(cell, sort=True).ngroup()
        found = found.sort_values("row", kind="stable", ignore_index=True)
    return found


def named(values, patients):
    return any(str(value).startswith(tuple(patients)) for value in values)


def other(value, patients, copy):
    """Return `P1_relapse` of a second copy as `P1x02_relapse`."""
    for name in patients:
        if str(value).startswith(name):
            return f"{name}x{copy:02d}{str(value).removeprefix(name)}"
    return value
