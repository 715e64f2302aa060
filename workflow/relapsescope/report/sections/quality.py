"""How cells were judged: distributions with thresholds, ambient RNA, doublets."""

from markupsafe import Markup

from relapsescope.report.context import Context, Section

LIMITS = (
    ("total_counts", "low", "Counts from"),
    ("n_genes_by_counts", "low", "Genes from"),
    ("pct_counts_mt", "high", "Mitochondrial up to, %"),
)
"""Thresholds of `library.json` and what the table calls them."""


def build(context: Context) -> Section:
    """Return the distributions of counts, genes and mitochondrial share."""
    panels = [context.panel(f"qc_{name}") for name in ("total_counts", "n_genes", "pct_mt")]
    rows = [
        {
            "sample_id": sample,
            "limits": [(library.get("thresholds") or {}).get(m, {}).get(b) for m, b, _ in LIMITS],
        }
        for sample, library in context.evidence.libraries.items()
    ]
    return Section(
        "Quality of cells",
        "quality",
        context.render("quality.html", panels=panels, rows=rows, limits=LIMITS),
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
                "doublet_rate_expected"
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
