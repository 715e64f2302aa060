"""How it was done: a paragraph from the versions and parameters used, and all of them listed."""

from collections.abc import Iterator, Mapping
from typing import Any

from relapsescope.report.context import Context, Section

NOT_YET = (
    ("CAR-T cells and their states", "needs CAR and signature calls"),
    ("Mechanisms of relapse", "needs CAR-T cells too"),
)
"""What the full analysis answers and this version of the workflow does not compute."""


def build(context: Context) -> Section:
    """Return the methods, parameters, versions and what this report does not say."""
    return Section(
        "Methods",
        "methods",
        context.render(
            "methods.html",
            config=context.config,
            sources={
                library.get("ambient_source")
                for library in context.evidence.libraries.values()
                if library.get("ambient_fraction") is not None
            },
            assessable=bool(context.evidence.cells["umap_1"].notna().any()),
            parameters=list(_leaves(context.config)),
            versions=sorted(context.versions.items()),
            not_yet=NOT_YET,
        ),
    )


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the value of every setting, paths left out: they name machines."""
    for name, value in config.items():
        if not prefix and name in ("samples", "clinical", "results"):
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)
