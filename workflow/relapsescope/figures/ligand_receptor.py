"""Ligands and receptors at relapse: who could signal to whom, and what is only ambient RNA."""

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import ROW
from relapsescope.figures.verdicts import with_numbers
from relapsescope.microenvironment.composition import SELECTED
from relapsescope.microenvironment.interactions import AMBIENT, SHOWN
from relapsescope.tables import is_true

RELAPSE_CLONE = "relapse clone"
MYELOID = ("CD14 monocyte", "CD16 monocyte", "Macrophage", "cDC")
RECEIVERS = ("CAR+ T", "CD8 T", "CD4 T", "NK")
TUMOUR_AXES = ("ANXA1_FPR", "APRIL_BCMA", "BAFF_BCMA")
MOST_ROWS = 3
"""Senders and receivers shown of a pair, the best ranked."""
WORDS = ("both shown", "a side is ambient RNA", "a side is not seen")
COLOURS = ("#C34E00", "#C88800", "#8A9097")
SHAPES = ("circle", "triangle-down", "cross")


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return the pairs that involve the relapse clone, or myeloid cells towards T and NK cells."""
    table = evidence.niche["interactions"]
    if not table.empty:
        table = table[
            (table["kind"] == "ligand_receptor")
            & (table["timepoint"] == "relapse")
            & (table["tissue"] == "bone_marrow")
            & ~table["sorting"].isin(SELECTED)
        ]
    if table.empty:
        raise NotAssessableError("no unsorted marrow at relapse holds two cell types of ten cells")
    rows = table.copy()
    for side in ("source", "target"):
        back = is_true(rows[f"{side}_is_relapse_clone"])
        rows[side] = rows[side].mask(back, RELAPSE_CLONE)
    tumour = rows["axis"].isin(TUMOUR_AXES) & (
        (rows["source"] == RELAPSE_CLONE) | (rows["target"] == RELAPSE_CLONE)
    )
    towards = ~rows["axis"].isin(TUMOUR_AXES) & rows["source"].isin([*MYELOID, RELAPSE_CLONE])
    rows = rows[tumour | (towards & rows["target"].isin(RECEIVERS))]
    if rows.empty:
        raise NotAssessableError("no relapse clone, and no myeloid cells beside T and NK cells")
    numbers = [name for name, kind in PANEL.columns.items() if kind == "number"]
    rows = with_numbers(rows, numbers).assign(
        evidence=[_evidence(row) for row in rows.to_dict("records")]
    )
    frame = _best(rows)[list(PANEL.columns)].reset_index(drop=True)
    sides = [
        frame[["sample_id", side, f"{n}_n_cells"]].set_axis(["s", "g", "n"], axis=1)
        for side, n in (("source", "ligand"), ("target", "receptor"))
    ]
    cells = pd.concat(sides).drop_duplicates(["s", "g"])["n"].sum()
    return PanelData(frame, int(cells), frame["patient_id"].nunique())


def _evidence(row: dict[str, str]) -> str:
    sides = (row["ligand_evidence"], row["receptor_evidence"])
    if all(side == SHOWN for side in sides):
        return WORDS[0]
    return WORDS[1] if AMBIENT in sides and set(sides) <= {SHOWN, AMBIENT} else WORDS[2]


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the best ranked combinations of each pair, in the order of the pairs."""
    combination = ["ligand", "receptor", "source", "target"]
    score = rows["magnitude_rank"].fillna(2.0) - (rows["evidence"] == WORDS[0])
    best = rows.assign(score=score).groupby(combination, sort=False)["score"].min().reset_index()
    best = best.sort_values("score", kind="stable").groupby(["ligand", "receptor"]).head(MOST_ROWS)
    chosen = set(best[combination].itertuples(index=False, name=None))
    keep = [key in chosen for key in rows[combination].itertuples(index=False, name=None)]
    return rows[keep]


def chart(frame: pd.DataFrame) -> alt.Chart:
    """Draw a dot a sample and combination: colour by evidence, size by magnitude rank."""
    rows = frame.assign(
        label=[
            f"{a}–{b}: {source} → {target}"
            for a, b, source, target in zip(
                frame["ligand"], frame["receptor"], frame["source"], frame["target"], strict=True
            )
        ]
    )
    rows["strength"] = 1 - rows["magnitude_rank"].fillna(1.0)
    order = list(dict.fromkeys(rows["label"]))
    return (
        alt.Chart(rows)
        .mark_point(filled=True, opacity=1)
        .encode(
            y=alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelLimit=420)),
            x=alt.X("sample_id:N", title=None, axis=alt.Axis(labelAngle=-40)),
            size=alt.Size(
                "strength:Q",
                title="1 − magnitude rank",
                scale=alt.Scale(domain=[0, 1], range=[12, 190]),
                legend=alt.Legend(
                    symbolType="circle", symbolFillColor="#9AA5B1", values=[0, 0.5, 1]
                ),
            ),
            color=alt.Color(
                "evidence:N",
                title=None,
                scale=alt.Scale(domain=list(WORDS), range=list(COLOURS)),
            ),
            shape=alt.Shape(
                "evidence:N",
                title=None,
                scale=alt.Scale(domain=list(WORDS), range=list(SHAPES)),
            ),
        )
        .properties(width=alt.Step(56), height=alt.Step(ROW - 3))
    )


PANEL = Panel(
    name="ligand_receptor",
    title="Ligands and receptors at relapse",
    claim="By which axes the marrow could suppress or support, ambient RNA apart",
    columns={
        "patient_id": "text",
        "sample_id": "text",
        "axis": "text",
        "ligand": "text",
        "receptor": "text",
        "source": "text",
        "target": "text",
        "ligand_n_cells": "number",
        "ligand_cpm": "number",
        "ligand_ci_low": "number",
        "ligand_ci_high": "number",
        "ligand_ambient_cpm": "number",
        "ligand_evidence": "text",
        "receptor_n_cells": "number",
        "receptor_cpm": "number",
        "receptor_ci_low": "number",
        "receptor_ci_high": "number",
        "receptor_ambient_cpm": "number",
        "receptor_evidence": "text",
        "evidence": "text",
        "magnitude_rank": "number",
        "specificity_rank": "number",
    },
    collect=collect,
    chart=chart,
    tables=("tables/interactions.tsv",),
    split_rows="ligand",
    split_columns="sample_id",
    test="rates with 95 % intervals against ambient RNA; consensus ranks (LIANA)",
    tolerance="0.05",
)
