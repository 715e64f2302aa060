"""Numbers of rates and of leanings; `config/README.md` explains each."""

from dataclasses import dataclass

from relapsescope.settings import NotNegative, Positive, Probability, Share


@dataclass(frozen=True)
class RateSettings:
    """Numbers of the rates; `config/README.md`, section `antigens`, explains each."""

    dispersion: NotNegative = 1.0
    dispersion_sd: NotNegative = 1.0


@dataclass(frozen=True)
class LeaningSettings:
    """What is believed before the data: section `leaning`."""

    prior: Probability
    leaning_from: Share
    primary_from: Share
    ratio_log_sd: Positive
    ever_there: Probability
    gone: Probability
    residual_share: Probability
    exhausted_effect: Positive
    exhausted_effect_sd: Positive
    unchanged_effect_sd: Positive
    suppression_middle: NotNegative
    suppression_width: Positive
    not_dividing: Probability
