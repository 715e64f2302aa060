"""The columns of the clinical tables and the words that they may hold."""

THERAPY_CLASSES = (
    "car_t",
    "bispecific",
    "adc",
    "cd38_antibody",
    "imid",
    "proteasome_inhibitor",
    "alkylator",
    "transplant",
    "other",
)
CLASS_ALIASES = {
    "cart": "car_t",
    "car": "car_t",
    "bite": "bispecific",
    "bsab": "bispecific",
    "daratumumab": "cd38_antibody",
    "anti_cd38": "cd38_antibody",
    "pi": "proteasome_inhibitor",
    "asct": "transplant",
    "chemotherapy": "alkylator",
}
# IMWG 2016 response categories (Kumar et al., Lancet Oncol 2016;17:e328) and not evaluable.
RESPONSES = ("sCR", "CR", "VGPR", "PR", "MR", "SD", "PD", "NE")
RESULTS = ("positive", "negative")
WORDS = {
    "involved_chain": ("kappa", "lambda"),
    "serum_immunofixation": RESULTS,
    "urine_immunofixation": RESULTS,
    "mrd": RESULTS,
    # Beyond the contract: whether plasma cells of a low share are the clone (for sCR).
    "marrow_clonality": RESULTS,
    "new_lesion": ("yes", "no"),
    "therapy_class": THERAPY_CLASSES,
    "best_response": RESPONSES,
    "assay": ("FISH", "WGS", "WES", "panel", "array"),
    "event": ("deletion", "gain", "mutation", "translocation", "none"),
    "extramedullary": ("yes", "no"),
}
WORD_ALIASES = {
    "k": "kappa",
    "l": "lambda",
    "κ": "kappa",
    "λ": "lambda",
    "pos": "positive",
    "+": "positive",
    "neg": "negative",
    **dict.fromkeys(
        ("detected", "present", "positiv", "reactive", "trace", "faint", "weak", "weakly_positive"),
        "positive",
    ),
    **dict.fromkeys(
        ("not_detected", "none_detected", "undetected", "undetectable", "absent", "negativ"),
        "negative",
    ),
    **dict.fromkeys(("none", "nd", "no_monoclonal_protein", "no_m_protein", "normal"), "negative"),
    "y": "yes",
    "n": "no",
    **CLASS_ALIASES,
}
WHOLE = ("day", "death_day", "last_follow_up_day", "prior_lines", "line", "start_day", "end_day")
COLUMNS = {
    "patients": (
        "patient_id",
        "car_product",
        "involved_chain",
        "prior_lines",
        "death_day",
        "last_follow_up_day",
    ),
    "labs": (
        "patient_id",
        "day",
        "serum_m_protein_g_dl",
        "urine_m_protein_mg_24h",
        "flc_kappa_mg_l",
        "flc_lambda_mg_l",
        "marrow_plasma_cell_pct",
        "serum_immunofixation",
        "urine_immunofixation",
        "mrd",
        "mrd_sensitivity",
        "calcium_mg_dl",
        "hemoglobin_g_dl",
        "creatinine_mg_dl",
        "new_lesion",
        "soluble_bcma_ng_ml",
        "marrow_clonality",
        "extramedullary",
    ),
    "therapies": (
        "patient_id",
        "line",
        "start_day",
        "end_day",
        "regimen",
        "therapy_class",
        "target",
        "best_response",
    ),
    "genetics": (
        "patient_id",
        "day",
        "assay",
        "gene_or_arm",
        "event",
        "hgvs_p",
        "vaf_or_share",
        "note",
    ),
}
REQUIRED = {
    "patients": ("patient_id",),
    "labs": ("patient_id", "day"),
    "therapies": ("patient_id", "line", "start_day", "therapy_class"),
    "genetics": ("patient_id", "assay", "gene_or_arm", "event"),
}
COLUMN_ALIASES = {
    "patient": "patient_id",
    "days": "day",
    "haemoglobin_g_dl": "hemoglobin_g_dl",
    "chain": "involved_chain",
    "class": "therapy_class",
    "response": "best_response",
    "gene": "gene_or_arm",
    "arm": "gene_or_arm",
    "vaf": "vaf_or_share",
}
# Names in use for a therapy's target that are no gene symbols, beside the gene table's synonyms.
TARGET_ALIASES = {"BCMA": "TNFRSF17", "FCRH5": "FCRL5", "CS1": "SLAMF7", "CD138": "SDC1"}
