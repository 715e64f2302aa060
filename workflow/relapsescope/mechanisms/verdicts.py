"""From evidence to verdicts: why each relapsed patient's CAR-T cells did not kill.

The rules are data (`resources/mechanism_rules.yaml`): each mechanism's evidence gives a state,
each state a verdict, and an argued order the primary mechanism. They are the same for everyone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from relapsescope.mechanisms.cited import Cited
from relapsescope.mechanisms.finding import NOTHING, Finding
from relapsescope.mechanisms.marrow_course_findings import FACTS
from relapsescope.mechanisms.patient_evidence import PatientEvidence
from relapsescope.paths import RESOURCES
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.tables import is_true
from relapsescope.vocabulary import NOT_ASSESSABLE, SUPPORTED

COLUMNS = (
    *("patient_id", "mechanism", "verdict", "evidence", "strength", "is_primary"),
    *("state", "against", "not_assessed", "primary_reason"),
    *("evidence_cells", "against_cells", "not_assessed_cells"),
    *("leaning", "primary_leaning", "beside", "beside_cells"),
)
"""Of `tables/mechanisms.tsv`: the contract's, what speaks against and what is missing, and which
cells of which tables the numbers of the sentences are (`cited.parse_cited`)."""


@dataclass(frozen=True)
class PrimaryRule:
    """One step of the search for the primary mechanism."""

    mechanism: str
    states: tuple[str, ...]
    because: str
    excluded_by: tuple[str, ...] = ()
    sufficient: bool = False


@dataclass(frozen=True)
class Rules:
    """The content of `mechanism_rules.yaml`.

    Attributes
    ----------
    mechanisms
        By name: `title`, `statement`, `rests_on`, `strength` and `states`, each state with its
        `verdict` and `when`.
    primary
        The steps in their order.
    never_primary
        The mechanism that is never primary, and why.
    """

    mechanisms: Mapping[str, Mapping[str, Any]]
    primary: tuple[PrimaryRule, ...]
    never_primary: Mapping[str, str]

    def verdict(self, mechanism: str, state: str) -> str:
        """Return the verdict that follows from a state."""
        return self.mechanisms[mechanism]["states"][state]["verdict"]

    def title(self, mechanism: str) -> str:
        """Return a mechanism's name as readers say it."""
        return self.mechanisms[mechanism]["title"]


@cache
def read_rules() -> Rules:
    """Return the rules in `resources/mechanism_rules.yaml`."""
    path = RESOURCES / "mechanism_rules.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = []
    for step in content["primary"]:
        lists = {name: tuple(step.get(name, ())) for name in ("states", "excluded_by")}
        steps.append(PrimaryRule(**(step | lists)))
    return Rules(content["mechanisms"], tuple(steps), content["never_primary"])


@dataclass(frozen=True)
class Primary:
    """The primary mechanism, "" where none stands out, and why."""

    mechanism: str
    reason: str


def findings_of(patient: PatientEvidence) -> dict[str, Finding]:
    """Return what the evidence of each mechanism says, in the contract's order.

    Nothing is read from tables in which a failed step of the patient's left its gaps.
    """
    if patient.failed:
        return dict.fromkeys(FACTS, Finding("no_data", NOTHING, not_assessed=Cited(patient.failed)))
    return {name: read(patient) for name, read in FACTS.items()}


def primary_mechanism(states: Mapping[str, str], rules: Rules) -> Primary:
    """Return the mechanism that the evidence separates from the others.

    Parameters
    ----------
    states
        State of each mechanism's evidence.
    """
    verdicts = {name: rules.verdict(name, state) for name, state in states.items()}
    for step in rules.primary:
        if states[step.mechanism] in step.states:
            return Primary(step.mechanism, step.because)
        open_still = (
            verdicts[step.mechanism] == NOT_ASSESSABLE
            and states[step.mechanism] not in step.excluded_by
        )
        if step.sufficient and open_still:
            title = rules.title(step.mechanism).lower()
            title = title.replace("car-t", "CAR-T")
            return Primary("", f"{title} alone would explain the relapse and is not decided")
    if SUPPORTED in verdicts.values():
        name = rules.title(rules.never_primary["mechanism"]).lower()
        return Primary("", f"only {name} was shown: {rules.never_primary['because']}")
    return Primary("", "no mechanism is supported by what could be assessed")


def leaning_of(name: str, finding: Finding, rules: Rules) -> float:
    """Return the probability that a mechanism holds where its verdict is open; NaN elsewhere."""
    return finding.leaning if rules.verdict(name, finding.state) == NOT_ASSESSABLE else math.nan


def primary_leaning(findings: Mapping[str, Finding], rules: Rules, beliefs: LeaningSettings) -> str:
    """Return the mechanism that would most probably be primary, "" where none is more likely.

    Every step of the search is taken with the probability of its states, after those before it
    were not: a shown state has 1, an excluded one 0, an open one its leaning, and one of which
    nothing is known the probability that is believed of every mechanism. Said from
    `leaning.primary_from` on, and only of a mechanism of which something is known.
    """
    left = 1.0
    chances: dict[str, float] = {}
    for step in rules.primary:
        found = findings[step.mechanism]
        holds = _step_probability(step, found, rules, beliefs)
        known = found.state in step.states or not math.isnan(found.leaning)
        chances[step.mechanism] = chances.get(step.mechanism, 0.0) + left * holds * known
        left *= 1 - holds
    best = max(chances, key=lambda name: chances[name])
    return best if chances[best] >= beliefs.primary_from else ""


def _step_probability(
    step: PrimaryRule, finding: Finding, rules: Rules, beliefs: LeaningSettings
) -> float:
    if rules.verdict(step.mechanism, finding.state) != NOT_ASSESSABLE:
        return float(finding.state in step.states)
    if finding.state in step.excluded_by:
        return 0.0
    own = [
        finding.states_leaning[state] for state in step.states if state in finding.states_leaning
    ]
    chance = sum(own) if own else finding.leaning
    return beliefs.prior if math.isnan(chance) else chance


def mechanism_rows(patient: PatientEvidence, rules: Rules | None = None) -> list[dict[str, Any]]:
    """Return the rows of `mechanisms.tsv` of one relapsed patient."""
    rules = rules or read_rules()
    findings = findings_of(patient)
    primary = primary_mechanism({name: found.state for name, found in findings.items()}, rules)
    likely = "" if primary.mechanism else primary_leaning(findings, rules, patient.beliefs)
    rows = []
    for name, found in findings.items():
        verdict = rules.verdict(name, found.state)
        evidence = found.evidence or _nothing_known(found)
        rows.append(
            {
                "patient_id": patient.patient_id,
                "mechanism": name,
                "verdict": verdict,
                "evidence": evidence.text,
                "strength": math.nan if verdict == NOT_ASSESSABLE else found.strength,
                "is_primary": name == primary.mechanism,
                "state": found.state,
                "against": found.against.text,
                "not_assessed": found.not_assessed.text,
                "primary_reason": primary.reason,
                "evidence_cells": evidence.code,
                "against_cells": found.against.code,
                "not_assessed_cells": found.not_assessed.code,
                "beside": found.beside.text,
                "beside_cells": found.beside.code,
                "leaning": leaning_of(name, found, rules),
                "primary_leaning": name == likely,
            }
        )
    return rows


def _nothing_known(finding: Finding) -> Cited:
    return Cited("not assessable: ") + finding.not_assessed


def supported(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the supported mechanisms of a patient's rows, the primary one first."""
    shown = [row for row in rows if row["verdict"] == SUPPORTED]
    shown.sort(key=lambda row: not is_true(row["is_primary"]))
    return [row["mechanism"] for row in shown]
