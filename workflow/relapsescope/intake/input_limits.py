"""The limits of inputs' sizes that a process is held to: those of the configuration's `inputs`."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from relapsescope.intake.settings import InputLimits
from relapsescope.settings import settings_of

# The jobs of a run inherit what the configuration allows, as they do the pinned threads.
VARIABLE = "RELAPSESCOPE_INPUT_LIMITS"


def hold_to(section: Mapping[str, Any] | None) -> None:
    """Hold this process, and those it starts, to the limits of the configuration's `inputs`."""
    limits = settings_of(InputLimits, section or {}, name="inputs")
    os.environ[VARIABLE] = json.dumps(asdict(limits))


def input_limits() -> InputLimits:
    """Return the limits that this process is held to; the usual ones where nothing was said."""
    return InputLimits(**json.loads(os.environ.get(VARIABLE, "{}")))


def size_fault(n_barcodes: int, n_features: int) -> str:
    """Return why a matrix of this size is not read, "" where it is."""
    limits = input_limits()
    for number, most, noun, key in (
        (n_barcodes, limits.max_barcodes, "barcodes", "max_barcodes"),
        (n_features, limits.max_features, "features", "max_features"),
    ):
        if number > most:
            return f"{number:,} {noun}, more than inputs.{key} allows ({most:,})"
    return ""
