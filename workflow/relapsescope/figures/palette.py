"""The colours of all figures: one a lineage, the same everywhere, told apart by colour-blind eyes.

The hues are those of Okabe & Ito (2008, jfly.uni-koeln.de/color) for the lineages that a marrow
holds most of, and of Tol's qualitative schemes (SRON/EPS/TN/09-002, issue 3.2) for the others.
"""

from collections.abc import Sequence

from relapsescope.vocabulary import CELL_TYPES, LINEAGES

INK = "#1F2933"
"""Of words on figures."""

LINEAGE_COLOURS = {
    "HSPC": "#332288",
    "Erythroid": "#882255",
    "Megakaryocyte": "#AA4499",
    "Granulocyte": "#999933",
    "Monocyte": "#E69F00",
    "Macrophage": "#8C6D1F",
    "cDC": "#E5D52E",
    "pDC": "#CC79A7",
    "Mast": "#44AA99",
    "B": "#009E73",
    "Plasma": "#D55E00",
    "T": "#0072B2",
    "NK": "#56B4E9",
    "Stromal": "#661100",
    "Unknown": "#B8B8B8",
}

TIMEPOINT_COLOURS = {
    "healthy": "#009E73",
    "untreated": "#999933",
    "pre_infusion": "#E69F00",
    "infusion_product": "#CC79A7",
    "expansion": "#56B4E9",
    "remission": "#0072B2",
    "relapse": "#D55E00",
}

VERDICT_COLOURS = {"pass": "#00664B", "warn": "#8A5A00", "fail": "#A3220B"}

KEPT = "#0072B2"
SET_ASIDE = "#C9CDD2"
THRESHOLD = "#A3220B"
REASON_COLOURS = {
    "kept": KEPT,
    "low_counts": "#B8B8B8",
    "low_genes": "#8F959C",
    "high_counts": "#5F656C",
    "high_mitochondrial": "#D55E00",
    "debris": "#8C6D1F",
    "dying": "#882255",
    "doublet": "#E69F00",
    "failed_library": "#33373B",
}

UNORDERED = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#332288",
    "#999933",
    "#882255",
    "#44AA99",
    "#8C6D1F",
    "#AA4499",
    "#117733",
    "#88CCEE",
    "#661100",
    "#DDCC77",
    "#6699CC",
    "#AA4466",
    "#4D4D4D",
    "#B8B8B8",
)

DARKEST, LIGHTEST = -0.35, 0.6
"""Share of black (below 0) and of white in the first and the last shade of a lineage's colour."""


def mix(colour: str, other: str, share: float) -> str:
    """Return `colour` with `share` (0 to 1) of `other` in it, both ``#RRGGBB``."""
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


def cell_type_colours() -> dict[str, str]:
    """Return a colour a cell type: its lineage's own, the finer types in shades of it."""
    colours = {}
    for lineage in LINEAGES:
        colours[lineage] = LINEAGE_COLOURS[lineage]
        finer = CELL_TYPES.get(lineage, ())
        for place, name in enumerate(finer):
            step = DARKEST + (LIGHTEST - DARKEST) * place / max(len(finer) - 1, 1)
            towards = "#FFFFFF" if step > 0 else "#000000"
            colours[name] = mix(LINEAGE_COLOURS[lineage], towards, abs(step))
    return colours


def colours_for(values: Sequence[str], fixed: dict[str, str] | None = None) -> list[str]:
    """Return one colour a value: the fixed one where there is one, else the next of `UNORDERED`."""
    fixed = fixed or {}
    unnamed = [value for value in values if value not in fixed]
    place = {value: i % len(UNORDERED) for i, value in enumerate(unnamed)}
    return [fixed[v] if v in fixed else UNORDERED[place[v]] for v in values]


def ink_on(colour: str) -> str:
    """Return the ink, dark or white, that stands out more from `colour`."""
    return max((INK, "#FFFFFF"), key=lambda ink: contrast(ink, colour))


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
