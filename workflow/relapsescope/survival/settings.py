"""What the configuration says of a bulk cohort with survival."""

from dataclasses import dataclass

from relapsescope.settings import Text


@dataclass(frozen=True)
class BulkCohortSettings:
    """One entry of ``course.bulk_cohorts``; ``docs/course.md`` has an example.

    Parameters
    ----------
    name
        As figures and tables call the cohort.
    expression
        Table of genes or probes (rows) by patients (columns).
    survival
        Table of patients (rows).
    patient_column, time_column, event_column
        Columns of `survival`; events are 0 or 1.
    covariates
        Columns of `survival` that models adjust for.
    log_scale
        Whether the values are log2 already.
    probe_map
        Table of probe and symbol; none where rows are symbols.
    """

    name: Text
    expression: Text
    survival: Text
    patient_column: Text = "patient_id"
    time_column: Text = "time"
    event_column: Text = "event"
    covariates: tuple[Text, ...] = ()
    log_scale: bool = False
    probe_map: str | None = None
