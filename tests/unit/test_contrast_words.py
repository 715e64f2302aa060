"""Contrasts between patients on the page: their words, their points, and few patients."""

import pandas as pd
import pytest
from relapsescope.figures.panel import NotAssessableError, PanelSettings
from relapsescope.figures.patient_contrasts import PANEL
from relapsescope.mechanisms.contrast_words import (
    NAMES,
    contrast_sentence,
    difference_words,
    is_share,
    measure_words,
    power_words,
    value_words,
)
from relapsescope.mechanisms.patient_contrasts import contrast_rows
from relapsescope.mechanisms.settings import ContrastSettings
from relapsescope.report.sections.t_cells import MEASURE_WORDS
from relapsescope.t_cells.measures import MEASURES

NK = "pre_infusion/microenvironment/NK"
SCORE = "expansion/car_t/good2021_mean"
SETTINGS = ContrastSettings(durable_days=180, measures=(NK, SCORE))


def told(first, second):
    """Return the rows of the outcome's contrast as a table has them, all fields text."""
    measured = [
        {"patient_id": f"{group}{i}", "measure": NK, "value": value, "outcome": group}
        for group, values in (("early_relapse", first), ("durable", second))
        for i, value in enumerate(values)
    ]
    return [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in contrast_rows(measured, SETTINGS)
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (NK, "NK cells, before CAR-T"),
        ("pre_infusion/microenvironment/CD14 monocyte", "CD14 monocytes, before CAR-T"),
        ("pre_infusion/microenvironment/CD8 T", "CD8 T cells, before CAR-T"),
        ("infusion_product/t_cell_states/cytotoxic", "cytotoxic CAR-T cells, in the product"),
        ("infusion_product/t_cell_measures/cd8_entpd1", "CD8 with CD39 (ENTPD1), in the product"),
        (SCORE, "dysfunction score (Good 2021), at expansion"),
    ],
)
def test_a_measure_is_called_as_readers_call_it(name, words):
    assert measure_words(name) == words


def test_shares_are_told_in_per_cent_and_scores_as_they_are():
    assert is_share(NK) and not is_share(SCORE)
    assert not is_share("pre_infusion/receptors/clonality_common")
    assert value_words(NK, "0.12345") == "12.3 %"
    assert value_words(SCORE, "-0.0204") == "-0.0204"
    assert value_words(NK, "") == difference_words(NK, "") == ""
    assert difference_words(NK, "-0.05") == "-5 points"
    assert difference_words(SCORE, "0.5") == "+0.5"


def test_too_few_patients_is_said_as_the_answer():
    rows = told([0.5], [0.1, 0.2])
    assert contrast_sentence(rows) == (
        "Early relapse (1 patient) against durable remission (2 patients): too few patients. With "
        "2 measures named beforehand, no difference could be shown, however large."
    )
    assert power_words(rows[0]) == "nothing: too few patients"


def test_a_difference_and_the_power_are_said():
    rows = told([0.7, 0.8, 0.9, 0.95, 0.6], [0.1, 0.2, 0.3, 0.35, 0.15])
    # (z of 0.0125 + z of 0.2) * sqrt(2 / 5 * pi / 3) = (2.2414 + 0.8416) * 0.6472.
    assert contrast_sentence(rows) == (
        "Early relapse (5 patients) against durable remission (5 patients): different in NK cells, "
        "before CAR-T (1 of 2 measures could be tested). A difference of 2 standard deviations "
        "between patients would be shown four times in five; a smaller one may be there."
    )
    assert power_words(rows[0]) == "2 standard deviations"
    alike = told([0.1, 0.3, 0.5, 0.7, 0.9], [0.2, 0.4, 0.6, 0.8, 0.25])
    assert "no difference is shown" in contrast_sentence(alike)


def test_every_measure_of_t_cells_has_words_on_the_pages():
    assert set(MEASURE_WORDS) == set(MEASURES)
    assert all(
        measure_words(f"expansion/t_cell_measures/{name}")[-12:] == "at expansion"
        for name in MEASURES
    )
    assert set(MEASURES) <= set(NAMES)


class Run:
    """Tables of answers as a panel asks for them."""

    def __init__(self, contrasts, measures):
        self.answers = {
            "patient_contrasts": pd.DataFrame(contrasts),
            "patient_measures": pd.DataFrame(measures),
        }


def test_the_points_are_the_patients_of_the_two_groups():
    contrast = {"contrast": "outcome", "group_1": "early_relapse", "group_2": "durable"}
    contrasts = [contrast | {"measure": name, "verdict": "NOT_SHOWN"} for name in (NK, SCORE)]
    measures = [
        {"measure": name, "patient_id": patient, "outcome": outcome, "product": "", "value": value}
        | {"sample_id": f"{patient}_{name}", "n_cells": "40"}
        for name, patient, outcome, value in (
            (NK, "P1", "early_relapse", "0.25"),
            (NK, "P2", "durable", "0.5"),
            (NK, "P3", "", "0.9"),
            (SCORE, "P1", "early_relapse", "-0.1"),
        )
    ]
    data = PANEL.collect(Run(contrasts, measures), PanelSettings())
    found = list(data.frame[["patient_id", "group", "value", "unit"]].itertuples(index=False))
    assert [tuple(row) for row in found] == [
        ("P1", "early relapse", 25.0, "%"),
        ("P2", "durable remission", 50.0, "%"),
        ("P1", "early relapse", -0.1, "score"),
    ]
    assert (data.n_patients, data.n_cells) == (2, 120)
    drawn = PANEL.chart(data.frame).to_dict()
    assert len(drawn["concat"]) == 2
    with pytest.raises(NotAssessableError, match="no patient has a measure"):
        PANEL.collect(Run(contrasts, measures[2:3]), PanelSettings())
