"""What became of each clone: its share of the malignant cells from before CAR-T to relapse."""

import altair as alt
import numpy as np
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.palette import UNORDERED
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.tables import is_true

HEIGHT = 110
VISIT_WIDTH, LEAST_VISIT_WIDTH = 76, 28
"""Units a visit, fewer where many visits have to fit beside the names of clones."""
VISITS_WIDTH = 690
AXIS_WIDTH, NAMES_WIDTH, SPACING = 60, 140, 18
PAGE_WIDTH = 940
LINE_LENGTH, LINE_HEIGHT = 22, 11
"""Characters and height of a line of a clone's events."""
HALF_BAR = 0.14
"""Half a bar's width, in visits."""
# Share from which a clone's events are written beside its bar.
LEAST_NAMED = 0.1
NUMBERS = ("n_cells", "n_malignant", "fraction", "fraction_ci_low", "fraction_ci_high")


def collect(evidence: Evidence, settings: PanelSettings) -> PanelData:
    """Return each clone's share by patient and library, in the order of time."""
    table = evidence.clonal.get("clones", pd.DataFrame())
    if table.empty:
        raise NotAssessableError("no patient has a clone of malignant plasma cells")
    frame = table.copy()
    for name in NUMBERS:
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    order = frame.drop_duplicates(["patient_id", "sample_id"])
    places = order.groupby("patient_id").cumcount()
    place = dict(
        zip(zip(order["patient_id"], order["sample_id"], strict=True), places, strict=True)
    )
    keys = zip(frame["patient_id"], frame["sample_id"], strict=True)
    frame["visit"] = [place[key] for key in keys]
    frame = frame.reindex(columns=list(PANEL.columns)).reset_index(drop=True)
    return PanelData(frame, int(frame["n_cells"].sum()), int(frame["patient_id"].nunique()))


def chart(frame: pd.DataFrame) -> alt.ConcatChart:
    """Draw a bar a visit, clones stacked, and bands that follow each clone from bar to bar."""
    clones = sorted(set(frame["clone_id"]), key=lambda name: (len(name), name))
    colours = alt.Scale(
        domain=clones, range=[UNORDERED[i % len(UNORDERED)] for i in range(len(clones))]
    )
    widest = int(frame["visit"].max()) + 1
    patients = [
        _patient(rows, colours, widest, name)
        for name, rows in frame.groupby("patient_id", sort=False)
    ]
    own = AXIS_WIDTH + _visit_width(widest) * widest + NAMES_WIDTH
    columns = max(1, int((PAGE_WIDTH + SPACING) // (own + SPACING)))
    return alt.concat(*patients, columns=columns, spacing=SPACING)


def _visit_width(widest: int) -> float:
    return max(LEAST_VISIT_WIDTH, min(VISIT_WIDTH, VISITS_WIDTH / widest))


def _patient(frame: pd.DataFrame, colours: alt.Scale, widest: int, name: str) -> alt.LayerChart:
    visits = frame.drop_duplicates("visit").sort_values("visit")
    totals = frame.groupby("visit", as_index=False)["n_cells"].sum()
    labels = [
        f"{timepoint.replace('_', ' ')}|{int(n)} cells"
        for timepoint, n in zip(visits["timepoint"], totals["n_cells"], strict=True)
    ]
    words = " : ".join(f"datum.value == {i} ? '{label}'" for i, label in enumerate(labels))
    scale = alt.Scale(domain=[-0.4, widest - 0.6])
    title = alt.TitleParams(name, anchor="start", fontSize=12)
    wide = _visit_width(widest) == VISIT_WIDTH
    axis = alt.Axis(
        values=list(range(len(labels))),
        labelExpr=f"split({words} : '', '|')",
        labelAngle=0 if wide else -40,
        labelLineHeight=12,
        grid=False,
        domain=False,
    )
    at, left, right = (
        alt.X(f"{name}:Q", title=None, scale=scale, axis=axis) for name in ("at", "left", "right")
    )
    y = alt.Y(
        "bottom:Q",
        title=["Share of", "malignant cells"],
        axis=alt.Axis(format=".0%", grid=False, tickCount=3),
        scale=alt.Scale(domain=[0, 1]),
    )
    colour = alt.Color(
        "clone_id:N", title="Clone", scale=colours, legend=alt.Legend(symbolOpacity=1, orient="top")
    )
    stacked = stacked_clones(frame)
    bands = (
        alt.Chart(band_edges(stacked))
        .mark_area(opacity=0.3)
        .encode(x=at, y=y, y2="top:Q", color=colour)
    )
    bars = (
        alt.Chart(stacked[stacked["fraction"] > 0], title=title)
        .mark_rect()
        .encode(x=left, x2="right:Q", y=y, y2="top:Q", color=colour)
    )
    layers = [bars] if len(labels) == 1 else [bands, bars]
    named = _named(frame)
    if len(named):
        layers.append(
            alt.Chart(named)
            .mark_text(align="left", dx=5, fontSize=10, lineBreak="\n", lineHeight=LINE_HEIGHT)
            .encode(x=right, y=alt.Y("middle:Q"), text="words:N")
        )
    return alt.layer(*layers).properties(width=_visit_width(widest) * widest, height=HEIGHT)


def stacked_clones(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row a clone and visit of one patient with the corners of its part of the bar.

    A clone without a row at a visit has no cell there, and a part of no height.
    """
    shares = frame.pivot_table(
        index="visit", columns="clone_id", values="fraction", aggfunc="sum", fill_value=0.0
    ).fillna(0.0)
    tops = shares.cumsum(axis=1)
    rows = shares.stack().rename("fraction").reset_index()
    rows["top"] = tops.stack().to_numpy()
    return rows.assign(
        bottom=rows["top"] - rows["fraction"],
        left=rows["visit"] - HALF_BAR,
        right=rows["visit"] + HALF_BAR,
    )


def band_edges(stacked: pd.DataFrame) -> pd.DataFrame:
    """Return the corners of the bands, which run from the edge of a bar to that of the next.

    Within a bar a band has the bar's height: from centre to centre it would show cells of a new
    clone in a visit that has none.
    """
    sides = [stacked.assign(at=stacked[side]) for side in ("left", "right")]
    return pd.concat(sides, ignore_index=True).sort_values(["clone_id", "at"], kind="stable")


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return where the last visit's larger clones are, which of them returned, and their events."""
    last = frame[frame["visit"] == frame["visit"].max()].sort_values("clone_id", ascending=True)
    top = last["fraction"].cumsum()
    returned = is_true(last["is_relapse_clone"])
    heads = last["clone_id"] + np.where(returned, ", relapse clone", "")
    rows = zip(heads, last["cnv_events"].fillna(""), last["fraction"], strict=True)
    words = [
        name_lines(head, events, int(HEIGHT * share / LINE_HEIGHT)) for head, events, share in rows
    ]
    right = last["visit"] + HALF_BAR
    placed = last.assign(middle=top - last["fraction"] / 2, words=words, right=right)
    return placed[placed["fraction"] >= LEAST_NAMED]


def name_lines(head: str, events: str, most: int) -> str:
    """Return a clone's name and its events in lines that its part of the bar has room for.

    Both arms of a chromosome that changed alike are one event: `+3p;+3q` is `+3`. Events without
    room are counted.
    """
    whole = whole_chromosomes(events.split(";") if events else [])
    lines = [head]
    for place, event in enumerate(whole):
        word = event.replace("-", "\u2212")
        longer = f"{lines[-1]} {word}"
        if len(lines) > 1 and len(longer) <= LINE_LENGTH:
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(word)
        else:
            lines[-1] += f" and {len(whole) - place} more"
            break
    return "\n".join(lines)


def whole_chromosomes(events: list[str]) -> list[str]:
    """Return the events with those of both arms of a chromosome as one, in their order."""
    found = {}
    for event in events:
        other = event[:-1] + {"p": "q", "q": "p"}.get(event[-1:], "")
        found[event[:-1] if other in events and other != event else event] = None
    return list(found)


PANEL = Panel(
    name="clone_fates",
    title="What became of each clone",
    claim="Which clones went, which stayed and which one is the relapse clone",
    columns={
        "patient_id": "text",
        "clone_id": "text",
        "sample_id": "text",
        "timepoint": "text",
        "visit": "number",
        "n_cells": "number",
        "n_malignant": "number",
        "fraction": "number",
        "fraction_ci_low": "number",
        "fraction_ci_high": "number",
        "cnv_events": "text",
        "fate": "text",
        "is_relapse_clone": "text",
        "relation": "text",
    },
    collect=collect,
    chart=chart,
    tables=("tables/clones.tsv",),
    split_rows="patient_id",
    unit="malignant cells",
    test="exact 95 % interval of each share (Clopper-Pearson)",
)
