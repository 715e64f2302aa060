"""What the configuration says of claims that are tested and of contrasts between patients."""

from dataclasses import dataclass
from typing import Annotated

from relapsescope.settings import Count, NotEmpty, Text


@dataclass(frozen=True)
class ClaimSettings:
    """The config's section ``claims``: the study's citation, the patients that a claim needs."""

    citation: Text
    min_decided: Count


TIMEPOINT_TABLES = {
    "pre_infusion": ("microenvironment",),
    "infusion_product": ("t_cell_states", "car_t"),
    "expansion": ("t_cell_states", "car_t"),
}
CAR_T_SHARES = ("cd4_fraction", "cycling_fraction")


class MeasureName:
    """Text of the form ``timepoint/table/name`` of a share that a patient may have."""

    def problem(self, value: str) -> str:
        """Return what is asked for where a measure cannot be found in any table."""
        parts = value.split("/")
        known = len(parts) == 3 and parts[1] in TIMEPOINT_TABLES.get(parts[0], ())
        if known and (parts[2] in CAR_T_SHARES if parts[1] == "car_t" else parts[2]):
            return ""
        forms = ", ".join(f"{at}/{t}/…" for at, names in TIMEPOINT_TABLES.items() for t in names)
        return f"must be one of {forms}; of car_t {' or '.join(CAR_T_SHARES)}"


@dataclass(frozen=True)
class ContrastSettings:
    """The config's section ``contrasts``.

    Parameters
    ----------
    durable_days
        Days without progression after CAR-T from which a remission is durable.
    measures
        Shares that are compared between patients, ``timepoint/table/name``.
    """

    durable_days: Count
    measures: Annotated[tuple[Annotated[str, MeasureName()], ...], NotEmpty()]
