"""How it was done: in words from the versions and parameters used, and all of them listed."""

from collections.abc import Iterator, Mapping
from typing import Any

from relapsescope.provenance.record import PATHS
from relapsescope.report.context import Context, Section
from relapsescope.report.methods_text import methods_text, paragraphs


def build(context: Context) -> Section:
    """Return the methods in words, and all parameters and versions."""
    text = methods_text(
        context.evidence, context.results, config=context.config, versions=context.versions
    )
    return Section(
        "Methods",
        "methods",
        context.render(
            "methods.html",
            steps=paragraphs(text),
            parameters=list(_leaves(context.config)),
            versions=sorted(context.versions.items()),
        ),
    )


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the value of every setting, paths left out: they name machines."""
    for name, value in config.items():
        if not prefix and name in PATHS:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", str(value)
