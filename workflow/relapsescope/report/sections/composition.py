"""What each sample is made of."""

from relapsescope.report.context import Context, Section


def build(context: Context) -> Section:
    """Return the composition of each sample by cell type."""
    return Section(
        "Composition",
        "composition",
        context.render("panels.html", panels=[context.panel("composition")]),
    )
