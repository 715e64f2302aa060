"""The atlas: the map of cells, how well libraries were integrated, what sets clusters apart."""

import json

import pandas as pd
from markupsafe import Markup

from relapsescope.figures.integration import measure_name
from relapsescope.figures.markers import cluster_names
from relapsescope.figures.panel import NotAssessableError
from relapsescope.report.context import Context, Section
from relapsescope.report.map_data import packed_map

MARKERS_LISTED = 10


def build_map(context: Context) -> Section:
    """Return the interactive map."""
    reason, packed = "", {}
    try:
        packed = packed_map(
            context.evidence, n_points=context.settings.map_points, seed=context.settings.seed
        )
    except NotAssessableError as problem:
        reason = str(problem)
    return Section(
        "Map of cells",
        "map",
        context.render(
            "map.html",
            reason=reason,
            data=Markup(script_safe(packed)),
            map=packed,
        ),
    )


def build_integration(context: Context) -> Section:
    """Return the measures of integration, in a picture and in words."""
    table = context.evidence.integration
    measures = [] if table.empty else table[["measure", "description"]].drop_duplicates("measure")
    rows = [] if table.empty else measures.to_dict("records")
    rows = [row | {"measure": measure_name(row["measure"])} for row in rows]
    return Section(
        "Integration",
        "integration",
        context.render("integration.html", panel=context.panel("integration_quality"), rows=rows),
    )


def build_markers(context: Context) -> Section:
    """Return the genes that set each cluster apart."""
    table = context.evidence.markers
    names = cluster_names(context.evidence)
    sizes = context.evidence.cells["leiden"].astype(object).value_counts()
    rows = []
    if not table.empty:
        ranked = table.assign(rank=pd.to_numeric(table["rank"]))
        for cluster in sorted(set(ranked["leiden"]), key=lambda v: (len(v), v)):
            own = ranked[ranked["leiden"] == cluster].sort_values("rank", kind="stable")
            rows.append(
                {
                    "cluster": cluster,
                    "cell_type": names.get(cluster, ""),
                    "n_cells": int(sizes.get(cluster, 0)),
                    "genes": list(own["symbol"].head(MARKERS_LISTED)),
                }
            )
    return Section(
        "Clusters",
        "clusters",
        context.render("markers.html", panel=context.panel("cluster_markers"), rows=rows),
    )


def script_safe(content: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
