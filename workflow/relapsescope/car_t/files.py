"""What CAR-T cells lie in; light enough for the workflow."""

CAR_FILES = {"car_cells": "car_cells.parquet", "exhaustion": "exhaustion.tsv"}
CAR_TABLES = ("car_t", "exhaustion")
