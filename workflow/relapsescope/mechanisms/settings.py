"""What the configuration says of the study whose claims are tested."""

from dataclasses import dataclass

from relapsescope.settings import Count, Text


@dataclass(frozen=True)
class ClaimSettings:
    """The config's section ``claims``: the study's citation, the patients that a claim needs."""

    citation: Text
    min_decided: Count
