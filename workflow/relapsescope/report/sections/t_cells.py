"""The T cells: their states, their clones, and how even the repertoire is."""

import pandas as pd

from relapsescope.report.context import Context, PatientContext, Section
from relapsescope.report.sections.antigens import number, with_interval
from relapsescope.tables import is_true
from relapsescope.vocabulary import EXPANDED

PANELS = ("t_cell_states", "clonotype_tracking")
NO_CELLS = "no library holds a T cell that passed QC"
LARGEST = 10
MEASURE_WORDS = {
    "cd4_cytotoxic": "CD4 T cells in a cytotoxic state",
    "cd4_cytotoxic_inhibited": "CD4 T cells in a cytotoxic state with HAVCR2 or TIGIT",
    "cd8_effector_memory": "CD8 T cells in effector memory",
    "exhausted_in_expanded": "cells of expanded clonotypes in an exhausted state",
    "exhausted_in_single": "cells of clonotypes seen once in an exhausted state",
    "cd8_pdcd1": "CD8 T cells that show PD-1 (PDCD1) among equally many molecules",
    "cd8_entpd1": "CD8 T cells that show CD39 (ENTPD1) among equally many molecules",
    "cd8_tigit": "CD8 T cells that show TIGIT among equally many molecules",
    "cd8_tox": "CD8 T cells that show TOX among equally many molecules",
}


def build(context: Context) -> Section:
    """Return the states of T cells, the repertoire of each sample and its clones through time."""
    repertoires = _whole(context.evidence.t_cells["receptors"])
    return Section(
        "T cell states and clonotypes",
        "t-cells",
        context.render(
            "t_cells.html",
            rows=[_repertoire(row) for row in repertoires if is_true(row["assessable"])],
            missing=_missing(repertoires),
            panels={name: context.panel(name) for name in PANELS},
        ),
    )


def build_patient(context: PatientContext) -> Section:
    """Return a patient's states of T cells, repertoires and largest clonotypes."""
    tables = {
        name: table if table.empty else table[table["patient_id"] == context.patient_id]
        for name, table in context.evidence.t_cells.items()
    }
    repertoires = _whole(tables["receptors"])
    return Section(
        "T cell states and clonotypes",
        "t-cells",
        context.render(
            "patient_t_cells.html",
            nothing="" if len(tables["t_cell_states"]) else NO_CELLS,
            states=_states(tables["t_cell_states"]),
            rows=[_repertoire(row) for row in repertoires if is_true(row["assessable"])],
            missing=_missing(repertoires),
            clonotypes=_clonotypes(tables["clonotypes"]),
            car_clones=[_car_clone(row) for row in _rows(tables["car_clones"])],
            findings=[_finding(row) for row in _rows(tables["car_clones"]) if _expanded(row)],
            measures=[_measure(row) for row in tables["t_cell_measures"].to_dict("records")],
        ),
    )


def _whole(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rows that are of all T cells of a sample."""
    return [] if table.empty else table[table["population"] == "T"].to_dict("records")


def _missing(repertoires: list[dict[str, str]]) -> str:
    """Return which samples have no receptors and why, one reason after another."""
    by_reason: dict[str, list[str]] = {}
    for row in repertoires:
        if not is_true(row["assessable"]):
            by_reason.setdefault(row["reason"], []).append(row["sample_id"])
    if not repertoires:
        return "no library is in the sample sheet"
    everywhere = len(by_reason) == 1 and len(next(iter(by_reason.values()))) == len(repertoires)
    if everywhere:
        return next(iter(by_reason))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())


def _repertoire(row: dict[str, str]) -> dict[str, str]:
    top = ("top_fraction", "top_ci_low", "top_ci_high")
    common = ("clonality_common", "clonality_common_ci_low", "clonality_common_ci_high")
    product = ("product_fraction", "product_ci_low", "product_ci_high")
    return row | {
        "timepoint_words": row["timepoint"].replace("_", " "),
        "cells": f"{row['n_with_receptor']} of {row['n_t_cells']}",
        "clonality_words": with_interval(
            *(row[name] for name in ("clonality", "clonality_ci_low", "clonality_ci_high"))
        ),
        "common_words": with_interval(*(row[name] for name in common)),
        "expanded": _percent(row, "expanded_fraction", "expanded_ci_low", "expanded_ci_high"),
        "top": f"{row['top_clonotype']}: {_percent(row, *top)}" if row["top_clonotype"] else "",
        "product": _percent(row, *product),
    }


def _states(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return the states that a patient's populations show, commonest first in each."""
    if table.empty:
        return []
    shown = table[table["n_state"] != "0"]
    share = pd.to_numeric(shown["fraction"])
    order = shown.assign(share=share).sort_values("share", ascending=False, kind="stable")
    rows = []
    for (sample, population), own in order.groupby(["sample_id", "population"], sort=False):
        words = [
            f"{row['state'].replace('_', ' ')} "
            f"{_percent(row, 'fraction', 'fraction_ci_low', 'fraction_ci_high')}"
            for row in own.to_dict("records")
        ]
        first = own.iloc[0]
        rows.append(
            {
                "sample_id": sample,
                "timepoint_words": first["timepoint"].replace("_", " "),
                "population_words": population.replace("_", " "),
                "n_cells": first["n_cells"],
                "states": "; ".join(words),
            }
        )
    place = {sample: i for i, sample in enumerate(dict.fromkeys(table["sample_id"]))}
    return sorted(rows, key=lambda row: (place[row["sample_id"]], row["population_words"] != "T"))


def _clonotypes(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return the patient's largest clonotypes, their samples side by side."""
    rows = []
    for name in list(dict.fromkeys(table["clonotype_id"]))[:LARGEST] if len(table) else []:
        own = table[table["clonotype_id"] == name].to_dict("records")
        seen = [f"{row['sample_id']} {row['n_cells']} of {row['n_clonotype_cells']}" for row in own]
        cars = [int(row["n_car_detected"]) for row in own if row["n_car_detected"]]
        states = [row["state"].replace("_", " ") for row in own if row["state"]]
        rows.append(
            own[0]
            | {
                "chains": " / ".join(filter(None, (own[0]["cdr3_first"], own[0]["cdr3_second"]))),
                "samples": "; ".join(seen),
                "car": str(sum(cars)) if cars else "",
                "states": ", ".join(dict.fromkeys(states)),
            }
        )
    return rows


def _rows(table: pd.DataFrame) -> list[dict[str, str]]:
    return table[table["clonotype_id"] != ""].to_dict("records") if len(table) else []


def _expanded(row: dict[str, str]) -> bool:
    return row["verdict"] == EXPANDED


def _finding(row: dict[str, str]) -> str:
    """Return the sentence that points out an expanded CAR-positive clone."""
    share = _percent(row, "fraction", "fraction_ci_low", "fraction_ci_high")
    transgene = f"{row['n_car_detected']} of its {row['n_cells']} cells"
    return (
        f"Clonotype {row['clonotype_id']} ({row['cell_type']}) is {share} of the T cells with a "
        f"clonotype in {row['sample_id']}, and the transgene was seen in {transgene}"
    )


def _car_clone(row: dict[str, str]) -> dict[str, str]:
    growth = with_interval(*(row[name] for name in ("growth", "growth_ci_low", "growth_ci_high")))
    return row | {
        "timepoint_words": row["timepoint"].replace("_", " "),
        "cells": f"{row['n_cells']} of {row['n_clonotype_cells']}",
        "share": _percent(row, "fraction", "fraction_ci_low", "fraction_ci_high"),
        "of_car": _percent(row, "car_fraction", "car_fraction_ci_low", "car_fraction_ci_high"),
        "growth_words": f"{growth} since {row['compared_with']}" if row["growth"] else "",
        "dividing": _percent(row, "cycling_fraction", "cycling_ci_low", "cycling_ci_high"),
        "product": ("yes" if is_true(row["in_product"]) else "no") if row["in_product"] else "",
        "verdict_words": row["verdict"].replace("_", " ").lower(),
    }


def _measure(row: dict[str, str]) -> dict[str, str]:
    return row | {
        "timepoint_words": row["timepoint"].replace("_", " "),
        "population_words": row["population"].replace("_", " "),
        "measure_words": MEASURE_WORDS[row["measure"]],
        "cells": f"{row['n_found']} of {row['n_cells']}",
        "share": _percent(row, "fraction", "fraction_ci_low", "fraction_ci_high"),
    }


def _percent(row: dict[str, str], *names: str) -> str:
    """Return a share with its interval in percent; empty where there is none."""
    values = [f"{100 * float(row[name]):.3g}" if row[name] else "" for name in names]
    return f"{number(values[0])} % ({' to '.join(values[1:])})" if values[0] else ""
