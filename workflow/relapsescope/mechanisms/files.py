"""What the answers lie in; light enough for the workflow."""

ANSWER_TABLES = (
    *("mechanisms", "answers", "claims", "aplasia"),
    *("patient_measures", "patient_contrasts"),
)
