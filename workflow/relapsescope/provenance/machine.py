"""What of a machine decides in which order numbers are added up: two that differ differ in bits."""

import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
X86 = {"vendor_id": "vendor", "cpu family": "family", "model": "model", "stepping": "stepping"}
ARM = {"CPU implementer": "vendor", "CPU architecture": "family", "CPU part": "model"}
"""What Linux calls the fields of a processor on either architecture, and what we do."""
WORDS = {
    "architecture": "architectures",
    "vendor": "processor vendors",
    "family": "processor families",
    "model": "processor models (their numbers)",
    "stepping": "processor steppings",
    "numpy_simd": "vector instructions of numpy",
    "blas": "BLAS kernels",
}
"""The fields of `machine`, and how a comparison calls them."""


def processor() -> str:
    """Return the processor's model, its architecture where the system does not name it."""
    named = [value for name, value in _cpuinfo() if name == "model name"]
    return next(filter(None, [*named, platform.processor(), platform.machine()]), "unknown")


@cache
def machine() -> dict[str, str]:
    """Return architecture and numbers of the processor, numpy's SIMD dispatch and BLAS kernel.

    Model names repeat over generations (`AMD EPYC`), so the numbers that tell them apart are
    here. What is not known is left out. Results that were computed elsewhere (the nodes of a
    cluster) may come from another machine than this one.
    """
    fields = {"architecture": platform.machine()}
    for name, value in _cpuinfo():
        known = X86.get(name) or ARM.get(name)
        if known and value:
            fields.setdefault(known, value)
    return fields | _numerical_libraries()


def _cpuinfo() -> list[tuple[str, str]]:
    """Return names and values of the first processor's fields; none where there is no such file."""
    try:
        first = CPUINFO.read_text(encoding="utf-8").strip().split("\n\n")[0]
    except OSError:
        return []
    pairs = (line.partition(":") for line in first.splitlines())
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _numerical_libraries() -> dict[str, str]:
    """Return what numpy and its BLAS chose for this processor, or were told to by variables."""
    import numpy as np
    from threadpoolctl import threadpool_info

    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    chosen = [*simd.get("baseline", []), *simd.get("found", [])]
    # scipy's own BLAS has the same kernels, and its version is that of scipy.
    blas = {
        f"{library['internal_api']} {library.get('architecture', '')}".strip()
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    found = {"numpy_simd": " ".join(chosen), "blas": "; ".join(sorted(blas))}
    return {name: value for name, value in found.items() if value}
