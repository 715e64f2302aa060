"""Colours that are used together differ for colour-blind eyes and stand out from white.

Simulated with the matrices of Machado, Oliveira & Fernandes 2009 (IEEE Trans Vis Comput Graph
15:1291, table of severity 1.0) in linear RGB, measured as the distance in CIELAB (CIE 1976, D65),
in which about 2.3 is a just noticeable difference (Mahy, Van Eycken & Oosterlinck 1994).
"""

import itertools

import numpy as np
import pytest
from relapsescope.figures import (
    car_t_cycling,
    course_markers,
    course_swimmer,
    integration,
    ligand_receptor,
    light_chain,
    mechanism_matrix,
    t_cell_states,
    theme,
    verdicts,
    volcano,
)
from relapsescope.figures.palette import (
    INK,
    LINEAGE_COLOURS,
    REASON_COLOURS,
    TIMEPOINT_COLOURS,
    UNORDERED,
    cell_type_colours,
    contrast,
    ink_on,
)
from relapsescope.vocabulary import CELL_TYPES

VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
XYZ_OF_RGB = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE_POINT = np.array([0.95047, 1.0, 1.08883])
JUST_NOTICEABLE = 2.3
FEW, SEVERAL, MANY = 6 * JUST_NOTICEABLE, 5 * JUST_NOTICEABLE, 3.7 * JUST_NOTICEABLE
"""Least distances of up to 8 colours, of up to 11, and of the 15 lineages."""

VERDICTS = [verdicts.VERDICT_COLOURS[word] for word in ("LOST", "REDUCED", "RETAINED")]
PALETTES = {
    "lineages": (LINEAGE_COLOURS.values(), MANY),
    **{
        f"types of {lineage}": ([cell_type_colours()[name] for name in types], MANY)
        for lineage, types in CELL_TYPES.items()
        if len(types) > 1
    },
    "timepoints": (TIMEPOINT_COLOURS.values(), FEW),
    "reasons": (REASON_COLOURS.values(), SEVERAL),
    "groups": (UNORDERED[:8], FEW),
    "states of T cells": (t_cell_states.COLOURS.values(), SEVERAL),
    "lines of therapy": (course_swimmer.CLASS_COLOURS.values(), SEVERAL),
    "calls": (course_markers.CALL_COLOURS.values(), SEVERAL),
    "M-protein": (list(course_markers.COLOURS.values())[-4:], FEW),
    "light chains": (light_chain.CLASS_COLOURS.values(), FEW),
    "malignancy": (light_chain.MALIGNANCY_COLOURS.values(), FEW),
    "verdicts": ([*VERDICTS, verdicts.VERDICT_COLOURS["INDETERMINATE"]], FEW),
    "changes": (volcano.COLOURS.values(), FEW),
    "populations": (car_t_cycling.COLOURS, FEW),
    "interactions": (ligand_receptor.COLOURS, FEW),
    "embeddings": (integration.EMBEDDINGS.values(), FEW),
    "fields of mechanisms": (mechanism_matrix.FILLS.values(), 5 * JUST_NOTICEABLE),
}
OUTLINED = {"fields of mechanisms"}
"""Fields with a line around them, which stands out in their place."""


def seen(colour, vision):
    """Return a colour in CIELAB as eyes of some vision see it."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = XYZ_OF_RGB @ np.clip(VISION[vision] @ linear, 0, 1) / WHITE_POINT
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_lab_by_hand():
    """Of sRGB's red as published (Lindbloom): 53.24, 80.09, 67.20; grey stays grey to all."""
    assert seen("#FF0000", "normal") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    for vision in VISION:
        assert seen("#808080", vision)[1:] == pytest.approx([0, 0], abs=0.1)
    # Okabe & Ito's vermilion and bluish green are nearer to deuteranopes than to others.
    pair = ("#D55E00", "#009E73")
    far, near = (
        np.linalg.norm(seen(pair[0], eyes) - seen(pair[1], eyes))
        for eyes in ("normal", "deuteranopia")
    )
    assert near < 0.6 * far


@pytest.mark.parametrize("name", PALETTES)
@pytest.mark.parametrize("vision", VISION)
def test_colours_used_together_are_told_apart(name, vision):
    colours, least = PALETTES[name]
    distances = {
        (a, b): float(np.linalg.norm(seen(a, vision) - seen(b, vision)))
        for a, b in itertools.combinations(dict.fromkeys(colours), 2)
    }
    nearest = min(distances, key=distances.get)
    assert distances[nearest] >= least, (nearest, distances[nearest])


@pytest.mark.parametrize("name", [name for name in PALETTES if name not in OUTLINED])
def test_marks_stand_out_from_the_page(name):
    for colour in PALETTES[name][0]:
        assert contrast(colour, "#FFFFFF") >= 3, colour


def test_cell_types_and_further_groups_stand_out_from_the_page():
    for colour in (*cell_type_colours().values(), *UNORDERED):
        assert contrast(colour, "#FFFFFF") >= 3, colour


def test_words_stand_out_from_what_they_stand_on():
    for ink in (INK, theme.QUIET):
        assert contrast(ink, "#FFFFFF") >= 4.5
    filled = {*UNORDERED, *verdicts.VERDICT_COLOURS.values()}
    for colour in filled:
        assert contrast(ink_on(colour), colour) >= 4.5, colour
    for verdict, colour in mechanism_matrix.FILLS.items():
        words = "#FFFFFF" if verdict == mechanism_matrix.SUPPORTED else INK
        assert contrast(words, colour) >= 4.5, verdict


def test_contrast_by_hand():
    """WCAG's ends, and #777777, which is known as just too light for text on white: 4.48."""
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#FFFFFF", "#FFFFFF") == pytest.approx(1)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)
    assert (ink_on("#FFFF00"), ink_on("#000080")) == ("#000000", "#FFFFFF")
