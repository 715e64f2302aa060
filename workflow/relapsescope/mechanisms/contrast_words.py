"""What contrasts between patients are called, and what they say, in words."""

from collections.abc import Iterable, Mapping, Sequence

from relapsescope.mechanisms.patient_contrasts import DURABLE, EARLY
from relapsescope.mechanisms.settings import MEAN_SCORE
from relapsescope.vocabulary import DIFFERENT, TOO_FEW

WHEN = {
    "pre_infusion": "before CAR-T",
    "infusion_product": "in the product",
    "expansion": "at expansion",
}
NAMES = {
    "NK": "NK cells",
    "naive_central_memory": "naive or central memory",
    "cd4_fraction": "CD4 among CAR-T cells",
    "cycling_fraction": "dividing CAR-T cells",
    "clonality_common": "clonality of T cells at equal cells",
    "cd8_pdcd1": "CD8 with PD-1 (PDCD1)",
    "cd8_entpd1": "CD8 with CD39 (ENTPD1)",
    "cd8_tigit": "CD8 with TIGIT",
    "cd8_tox": "CD8 with TOX",
    "cd4_cytotoxic": "cytotoxic among CD4",
    "cd4_cytotoxic_inhibited": "cytotoxic with HAVCR2 or TIGIT among CD4",
    "cd8_effector_memory": "effector memory among CD8",
    "exhausted_in_expanded": "exhausted in expanded clonotypes",
    "exhausted_in_single": "exhausted in clonotypes seen once",
    "good2021_mean": "dysfunction score (Good 2021)",
    "chu2023_mean": "exhaustion score (Chu 2023)",
}
GROUPS = {EARLY: "early relapse", DURABLE: "durable remission"}
SCORES = ("receptors",)
"""Tables whose values are no shares."""


def measure_words(name: str) -> str:
    """Return what a measure is called: ``NK cells, before CAR-T``."""
    timepoint, table, what = name.split("/")
    plain = NAMES.get(what, what.replace("_", " "))
    if what not in NAMES and table == "microenvironment" and not plain.endswith("cells"):
        plain = f"{plain}s" if plain.endswith("monocyte") else f"{plain} cells"
    if table == "t_cell_states":
        plain = f"{plain} CAR-T cells"
    return f"{plain}, {WHEN.get(timepoint, timepoint.replace('_', ' '))}"


def is_share(name: str) -> bool:
    """Return whether a measure is a share, told in per cent, rather than a score."""
    _, table, what = name.split("/")
    return table not in SCORES and not what.endswith(MEAN_SCORE)


def value_words(name: str, text: str) -> str:
    """Return a value of a measure in three digits, shares in per cent; empty without one."""
    if not text:
        return ""
    return f"{100 * float(text):.3g} %" if is_share(name) else f"{float(text):.3g}"


def difference_words(name: str, text: str) -> str:
    """Return a difference of two values: of shares in points of per cent; empty without one."""
    if not text:
        return ""
    return f"{100 * float(text):+.3g} points" if is_share(name) else f"{float(text):+.3g}"


def group_words(group: str) -> str:
    """Return what a group of patients is called."""
    return GROUPS.get(group, group)


def contrast_sentence(rows: Sequence[Mapping[str, str]]) -> str:
    """Return what the measures of one contrast say together.

    Parameters
    ----------
    rows
        The contrast's rows of `patient_contrasts.tsv`, at least one.
    """
    first, second = (group_words(rows[0][f"group_{i}"]) for i in (1, 2))
    most = [max(int(row[f"n_{i}"]) for row in rows) for i in (1, 2)]
    lead = f"{first[:1].upper()}{first[1:]} ({_patients(most[0])}) against {second} "
    lead += f"({_patients(most[1])}): "
    tested = [row for row in rows if row["verdict"] != TOO_FEW]
    if not tested:
        return (
            lead + f"too few patients. With {_measures(len(rows))} named beforehand, no difference "
            "could be shown, however large."
        )
    different = [measure_words(row["measure"]) for row in tested if row["verdict"] == DIFFERENT]
    found = f"different in {'; '.join(different)}" if different else "no difference is shown"
    words = f"{found} ({len(tested)} of {_measures(len(rows))} could be tested)"
    reach = min(float(row["detectable_sd"]) for row in tested)
    power = (
        f" A difference of {reach:.2g} standard deviations between patients would be shown four "
        "times in five; a smaller one may be there."
    )
    return lead + words + "." + power


def power_words(row: Mapping[str, str]) -> str:
    """Return what a contrast of a measure could have shown."""
    if row["verdict"] == TOO_FEW:
        return "nothing: too few patients"
    return f"{float(row['detectable_sd']):.2g} standard deviations"


def by_contrast(rows: Iterable[Mapping[str, str]]) -> dict[str, list[Mapping[str, str]]]:
    """Return the rows of each contrast, in the table's order."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        found.setdefault(row["contrast"], []).append(row)
    return found


def _patients(n: int) -> str:
    return f"{n} {'patient' if n == 1 else 'patients'}"


def _measures(n: int) -> str:
    return f"{n} {'measure' if n == 1 else 'measures'}"
