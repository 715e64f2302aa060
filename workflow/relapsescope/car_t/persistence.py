"""Do CAR-T cells persist in a library, or would it have shown them?"""

from relapsescope.car_t.fraction import WITHOUT_SHARE, Fraction
from relapsescope.car_t.sensitivity import Sensitivity
from relapsescope.car_t.settings import FractionSettings
from relapsescope.statistics.leanings import small_share_leaning
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.vocabulary import AFTER_INFUSION, INDETERMINATE, NOT_PERSISTENT, PERSISTENT


def persistence_leaning(
    fraction: Fraction,
    sensitivity: Sensitivity,
    settings: FractionSettings,
    beliefs: LeaningSettings,
) -> float:
    """Return the probability that CAR-T cells are under `persistent_fraction` of the T cells."""
    return small_share_leaning(
        fraction.n_detected,
        fraction.n_cells,
        settings.persistent_fraction,
        detected=sensitivity.estimate,
        prior=beliefs.gone,
    )


def persistence_of(
    fraction: Fraction | None,
    timepoint: str,
    sorting: str,
    settings: FractionSettings,
    *,
    elsewhere: tuple[str, int] | None = None,
) -> tuple[str, str]:
    """Return whether CAR-T cells persist in a library, and why it is said.

    `NOT_PERSISTENT`: the interval lies below `persistent_fraction`, or no cell is seen in a
    library that would have shown `gone_limit` of the T cells, unless a library of the same visit
    that was sorted for the CAR shows that they are there.

    Parameters
    ----------
    elsewhere
        That library and the CAR-T cells in it.
    """
    if timepoint not in AFTER_INFUSION:
        return INDETERMINATE, "persistence is asked after the infusion"
    if fraction is None:
        return INDETERMINATE, "no T cells of good quality"
    if sorting in WITHOUT_SHARE:
        return INDETERMINATE, WITHOUT_SHARE[sorting]
    border, limit = settings.persistent_fraction, fraction.detection_limit
    share = f"{fraction.estimate:.1%} of {fraction.n_cells} T cells"
    share += f" ({fraction.low:.1%} to {fraction.high:.1%})"
    if fraction.low >= border:
        return PERSISTENT, f"{share} are CAR-T cells"
    shown = "no fraction" if limit is None else f"{limit:.1%} or more"
    if fraction.high < border:
        return NOT_PERSISTENT, f"{share} are CAR-T cells; the library would have shown {shown}"
    if not fraction.n_detected and limit is not None and limit <= settings.gone_limit:
        told = f"none of {fraction.n_cells} T cells shows the transgene"
        if elsewhere is not None and elsewhere[1] >= settings.min_cells_for_rate:
            there = f"{elsewhere[1]} CAR-T cells in {elsewhere[0]}, sorted for the CAR"
            share = f"under {fraction.high:.1%}"
            return INDETERMINATE, f"{told}, but they are there ({there}); their share is {share}"
        return NOT_PERSISTENT, f"{told}; the library would have shown {shown}"
    if not fraction.n_detected:
        told = f"none of {fraction.n_cells} T cells shows the transgene, but the library would"
        return INDETERMINATE, f"{told} have shown {shown} only"
    return INDETERMINATE, f"{share} are CAR-T cells: above and below {border:.0%} are possible"
