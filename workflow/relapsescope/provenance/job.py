"""What a job is made from: the paths, parameters and configuration that the workflow gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Kinds of files of a library's job, and the key by which a row of a library holds one.
KEY_OF = {"counts": "counts", "cells": "cells", "genes": "genes", "summaries": "summary"}


@dataclass(frozen=True)
class Job:
    """One job of a rule; every function of a room's `jobs.py` takes it and nothing else.

    Attributes
    ----------
    rule
        The rule's name.
    inputs, outputs
        Paths by the rule's names for them; of several files a sequence.
    params
        Parameters by name; plain values.
    config
        The configuration, of which a job should only read what its rule passes on.
    """

    rule: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, str]
    params: Mapping[str, Any]
    config: Mapping[str, Any]

    def libraries(self) -> list[dict[str, Any]]:
        """Return the sheet's rows of the job's libraries, each with the paths of its files."""
        kinds = [kind for kind in KEY_OF if kind in self.inputs]
        paths = zip(*(self.inputs[kind] for kind in kinds), strict=True)
        return [
            row | {KEY_OF[kind]: path for kind, path in zip(kinds, of_one, strict=True)}
            for row, of_one in zip(self.params["rows"], paths, strict=True)
        ]
