"""The words of the contract: values that tables may hold, in the order figures show them."""

TIMEPOINTS = (
    "healthy",
    "untreated",
    "pre_infusion",
    "infusion_product",
    "expansion",
    "remission",
    "relapse",
)
BEFORE_TREATMENT = ("untreated", "pre_infusion")
AFTER_INFUSION = ("expansion", "remission", "relapse")
CAR_T_COURSE = ("pre_infusion", "infusion_product", *AFTER_INFUSION)
TISSUES = ("bone_marrow", "blood", "infusion_product", "extramedullary")
SORTINGS = ("none", "CD138_positive", "CD138_negative", "CD3_positive", "CAR_positive")
LINEAGES = (
    "HSPC",
    "Erythroid",
    "Megakaryocyte",
    "Granulocyte",
    "Monocyte",
    "Macrophage",
    "cDC",
    "pDC",
    "Mast",
    "B",
    "Plasma",
    "T",
    "NK",
    "Stromal",
    "Unknown",
)
# The atlas: what is comparable between people. Plasma cells are private to a patient; erythroid,
# megakaryocytic and stromal cells are no immune cells; Unknown has no place to be.
IMMUNE_LINEAGES = tuple(
    lineage
    for lineage in LINEAGES
    if lineage not in ("Erythroid", "Megakaryocyte", "Plasma", "Stromal", "Unknown")
)
CELL_TYPES = {
    "T": ("CD4 T", "CD8 T", "Treg", "MAIT", "gdT"),
    "B": ("B precursor", "B naive", "B memory"),
    "Monocyte": ("CD14 monocyte", "CD16 monocyte"),
}
# Types of T cells that are rare and hang on a few lowly expressed genes: their share of a library's
# T cells is estimated, since most of their cells cannot be named one by one.
RARE_T_TYPES = ("Treg", "MAIT", "gdT")
ANTIGEN_NAMES = {
    "TNFRSF17": "BCMA",
    "FCRL5": "FcRH5",
    "SDC1": "CD138",
    "LY9": "CD229",
    "ITGB7": "integrin β7",
}
"""What clinicians call an antigen whose gene has another name."""


def antigen_name(symbol: str) -> str:
    """Return an antigen as clinicians say it, with its gene: ``BCMA (TNFRSF17)``."""
    return f"{ANTIGEN_NAMES[symbol]} ({symbol})" if symbol in ANTIGEN_NAMES else symbol


VERDICTS = ("pass", "warn", "fail")
# Where what a clone is compared with comes from (`reference_source`): the cohort's own people, a
# reference frozen from another cohort, or the shipped table of published rates.
COHORT, FROZEN, SHIPPED = "cohort", "frozen", "shipped"
SOURCE_WORDS = {
    FROZEN: " of the frozen reference",
    SHIPPED: " of the shipped reference (published rates of other laboratories and protocols)",
}
"""What every sentence adds that does not rest on the cohort's own people."""
# In the notes of an atlas, where that is so: its results come again in kind, not byte for byte.
ON_GPU = "scVI was trained on a GPU"
# Verdicts of the tables. What the evidence cannot decide is the same word everywhere.
INDETERMINATE = "INDETERMINATE"
LOST, REDUCED, RETAINED = "LOST", "REDUCED", "RETAINED"
HIGH, NOT_HIGH = "HIGH", "NOT_HIGH"
PERSISTENT, NOT_PERSISTENT = "PERSISTENT", "NOT_PERSISTENT"
EXHAUSTED, NOT_EXHAUSTED = "EXHAUSTED", "NOT_EXHAUSTED"
RAISED, NOT_RAISED = "RAISED", "NOT_RAISED"
PROLIFERATING, NOT_PROLIFERATING = "PROLIFERATING", "NOT_PROLIFERATING"
EXPANDED, NOT_EXPANDED = "EXPANDED", "NOT_EXPANDED"
APLASIA, NO_APLASIA = "APLASIA", "NO_APLASIA"
DIFFERENT, NOT_SHOWN, TOO_FEW = "DIFFERENT", "NOT_SHOWN", "TOO_FEW_PATIENTS"
SUPPORTED, NOT_SUPPORTED, NOT_ASSESSABLE = "SUPPORTED", "NOT_SUPPORTED", "NOT_ASSESSABLE"
# Responses of the IMWG that count as one (partial or better).
RESPONDED = ("sCR", "CR", "VGPR", "PR")
AT_LEAST_VGPR = ("sCR", "CR", "VGPR")
