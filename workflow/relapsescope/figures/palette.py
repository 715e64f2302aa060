"""The colours of all figures: one a lineage, the same everywhere, told apart by colour-blind eyes.

The hues are those of Okabe & Ito (2008, jfly.uni-koeln.de/color) for the lineages that a marrow
holds most of, and of Tol's qualitative schemes (SRON/EPS/TN/09-002, issue 3.2) for the others.
Light ones are darkened until they stand out from white by 3 to 1, and colours that are used
together moved until they differ under deuteranopia and protanopia too, both as little as possible;
`tests/unit/test_colours.py` measures it.
"""

from collections.abc import Sequence

from relapsescope.vocabulary import CELL_TYPES, LINEAGES

INK = "#1F2933"
"""Of words on figures."""

LINEAGE_COLOURS = {
    "HSPC": "#332288",
    "Erythroid": "#882255",
    "Megakaryocyte": "#A74195",
    "Granulocyte": "#A29134",
    "Monocyte": "#C68900",
    "Macrophage": "#8F7422",
    "cDC": "#969949",
    "pDC": "#C677AA",
    "Mast": "#228E79",
    "B": "#009D73",
    "Plasma": "#C04400",
    "T": "#1274B5",
    "NK": "#3C9CD1",
    "Stromal": "#661100",
    "Unknown": "#959496",
}

TIMEPOINT_COLOURS = {
    "healthy": "#009E73",
    "untreated": "#939741",
    "pre_infusion": "#C88800",
    "infusion_product": "#CA79A5",
    "expansion": "#3C9CD1",
    "remission": "#0072B2",
    "relapse": "#C34E00",
}

VERDICT_COLOURS = {"pass": "#00664B", "warn": "#8A5A00", "fail": "#A3220B"}

KEPT = "#0072B2"
SET_ASIDE = "#8A9097"
THRESHOLD = "#A3220B"
REASON_COLOURS = {
    "kept": KEPT,
    "low_counts": "#97948A",
    "low_genes": "#8B919D",
    "high_counts": "#646C76",
    "high_mitochondrial": "#C85300",
    "debris": "#8D6D30",
    "dying": "#882255",
    "doublet": "#C88800",
    "failed_library": "#33373B",
}

UNORDERED = (
    "#0072B2",
    "#C88800",
    "#009E73",
    "#CA79A5",
    "#3C9CD1",
    "#C34E00",
    "#332288",
    "#939741",
    "#882255",
    "#228E79",
    "#8C6D1F",
    "#AA4499",
    "#117733",
    "#509BC9",
    "#661100",
    "#A0934C",
    "#6699CC",
    "#AA4466",
    "#4D4D4D",
    "#8A9097",
)

DARKEST = -0.5
"""Share of black in the first shade of a lineage's colour; the last stands out from white."""
LEAST_CONTRAST = 3.0
"""Of a mark against the background: WCAG 2.2, success criterion 1.4.11."""


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
        lightest = _lightest(LINEAGE_COLOURS[lineage])
        for place, name in enumerate(finer):
            step = DARKEST + (lightest - DARKEST) * place / max(len(finer) - 1, 1)
            towards = "#FFFFFF" if step > 0 else "#000000"
            colours[name] = mix(LINEAGE_COLOURS[lineage], towards, abs(step))
    return colours


def _lightest(colour: str) -> float:
    """Return the share of white that a colour may have and stand out from white."""
    shares = [share / 100 for share in range(100)]
    clear = (
        contrast(mix(colour, "#FFFFFF", share), "#FFFFFF") >= LEAST_CONTRAST for share in shares
    )
    return max(
        (share for share, is_clear in zip(shares, clear, strict=True) if is_clear), default=0
    )


def colours_for(values: Sequence[str], fixed: dict[str, str] | None = None) -> list[str]:
    """Return one colour a value: the fixed one where there is one, else the next of `UNORDERED`."""
    fixed = fixed or {}
    unnamed = [value for value in values if value not in fixed]
    place = {value: i % len(UNORDERED) for i, value in enumerate(unnamed)}
    return [fixed[v] if v in fixed else UNORDERED[place[v]] for v in values]


def ink_on(colour: str) -> str:
    """Return black or white, which stands out more from `colour`: 4.58 to 1 at least."""
    return max(("#000000", "#FFFFFF"), key=lambda ink: contrast(ink, colour))


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#RRGGBB``, 0 to 1 (WCAG 2.2)."""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
