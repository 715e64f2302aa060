"""What the configuration says of claims that are tested and of contrasts between patients."""

from dataclasses import dataclass
from typing import Annotated

from relapsescope.settings import Count, NotEmpty, OneOf, Text, WordOf
from relapsescope.vocabulary import TISSUES


@dataclass(frozen=True)
class ClaimSettings:
    """The config's section ``claims``: the study's citation, the patients that a claim needs."""

    citation: Text
    min_decided: Count


TIMEPOINT_TABLES = {
    "pre_infusion": ("microenvironment", "t_cell_measures", "receptors"),
    "infusion_product": ("t_cell_states", "car_t", "t_cell_measures"),
    "expansion": ("t_cell_states", "car_t", "t_cell_measures"),
}
CAR_T_SHARES = ("cd4_fraction", "cycling_fraction")
MEAN_SCORE = "_mean"
CLONALITY = "clonality_common"
SIGNATURE = WordOf("signatures.tsv", "set")


class MeasureName:
    """Text of the form ``timepoint/table/name`` of a value that a patient may have."""

    def problem(self, value: str) -> str:
        """Return what is asked for where a measure cannot be found in any table."""
        parts = value.split("/")
        known = len(parts) == 3 and parts[1] in TIMEPOINT_TABLES.get(parts[0], ())
        if known and self._is_known(parts[1], parts[2]):
            return ""
        forms = ", ".join(f"{at}/{t}/…" for at, names in TIMEPOINT_TABLES.items() for t in names)
        of_car_t = f"of car_t {', '.join(CAR_T_SHARES)} or a signature's name with {MEAN_SCORE}"
        return f"must be one of {forms}; {of_car_t}; of receptors {CLONALITY}"

    def _is_known(self, table: str, name: str) -> bool:
        if table == "car_t":
            signature = name.removesuffix(MEAN_SCORE)
            return name in CAR_T_SHARES or (signature != name and not SIGNATURE.problem(signature))
        return name == CLONALITY if table == "receptors" else bool(name)


@dataclass(frozen=True)
class ContrastSettings:
    """The config's section ``contrasts``.

    Parameters
    ----------
    durable_days
        Days without progression after CAR-T from which a remission is durable.
    measures
        Values that are compared between patients, ``timepoint/table/name``.
    before_tissue, peak_tissue
        Tissue that measures before the infusion and of the expansion speak of.
    """

    durable_days: Count
    measures: Annotated[tuple[Annotated[str, MeasureName()], ...], NotEmpty()]
    before_tissue: Annotated[str, OneOf(TISSUES)] = "bone_marrow"
    peak_tissue: Annotated[str, OneOf(TISSUES)] = "blood"
