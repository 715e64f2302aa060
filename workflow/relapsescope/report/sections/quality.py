"""How cells were judged: distributions with thresholds, ambient RNA, doublets."""

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from relapsescope.report.context import Context, Section


def build(context: Context) -> Section:
    """Return the distributions of counts, genes and mitochondrial share."""
    panels = [context.panel(f"qc_{name}") for name in ("total_counts", "n_genes", "pct_mt")]
    rows = [
        {"sample_id": sample, "items": list(_flat(library.get("thresholds") or {}))}
        for sample, library in context.evidence.libraries.items()
    ]
    return Section(
        "Quality of cells",
        "quality",
        context.render("quality.html", panels=panels, rows=rows),
    )


def build_ambient(context: Context) -> Section:
    """Return the ambient fractions."""
    return Section("Ambient RNA", "ambient", _only(context, "ambient_fraction"))


def build_doublets(context: Context) -> Section:
    """Return the doublet scores with the calls."""
    rows = [
        {
            "sample_id": sample,
            "n_scored": int(group["doublet_score"].notna().sum()),
            "n_called": int(group["predicted_doublet"].sum()),
            "expected_rate": context.evidence.libraries.get(sample, {}).get(
                "expected_doublet_rate"
            ),
        }
        for sample, group in context.evidence.cells.groupby("sample_id", observed=True, sort=False)
    ]
    return Section(
        "Doublets",
        "doublets",
        context.render("doublets.html", rows=rows, panel=context.panel("doublet_scores")),
    )


def _only(context: Context, name: str) -> Markup:
    return context.render("panels.html", panels=[context.panel(name)])


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and value of every threshold that is a number."""
    for name, value in values.items():
        label = f"{prefix} {name}".strip().replace("_", " ")
        if isinstance(value, dict):
            yield from _flat(value, label)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield label, f"{value:.4g}" if isinstance(value, float) else f"{value:,}"
