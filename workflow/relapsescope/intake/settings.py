"""How large inputs may be: section `inputs`; `config/README.md` explains each."""

from dataclasses import dataclass
from typing import Annotated

from relapsescope.settings import Count, Within


@dataclass(frozen=True)
class InputLimits:
    """Sizes beyond which an input is refused before it is read: section `inputs`."""

    max_libraries: Count = 10_000
    max_table_lines: Count = 1_000_000
    max_table_mb: Annotated[float, Within(0, open=True)] = 100.0
    max_barcodes: Count = 20_000_000
    max_features: Count = 2_000_000
    max_text_unpacking: Annotated[float, Within(1)] = 30.0
    max_array_unpacking: Annotated[float, Within(1)] = 200.0
