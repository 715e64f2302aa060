"""What a patient's clones lie in; light enough for the workflow."""

CLONE_FILES = {
    "cells": "cells.parquet",
    "posterior": "posterior.parquet",
    "cell_arms": "cell_arms.parquet",
    "clones": "clones.tsv",
    "copy_number": "copy_number.tsv",
    "summary": "clones.json",
}
# Columns of the posterior that hold the probability of each clone begin so.
PROBABILITY = "probability_"
