"""The configuration as a whole: which keys there are, and everything that is wrong at once."""

from collections.abc import Mapping
from typing import Any

from relapsescope.atlas.build import AtlasSettings
from relapsescope.atlas.integration import IntegrationSettings
from relapsescope.course.clinical_columns import TARGET_ALIASES
from relapsescope.course.settings import CourseSettings
from relapsescope.intake.identity import symbol_meant
from relapsescope.libraries.ambient import AmbientLimits
from relapsescope.libraries.doublets import DoubletLimits
from relapsescope.libraries.lineage import LineageLimits
from relapsescope.libraries.quality import QualityLimits
from relapsescope.mechanisms.claims import ClaimSettings
from relapsescope.programmes.settings import ProgrammeSettings
from relapsescope.reference.settings import NoveltySettings
from relapsescope.run.places import place_problems
from relapsescope.run.resource_models import ClusterSettings
from relapsescope.settings import PATHS, section_problems, unknown_key
from relapsescope.statistics.leanings import LeaningSettings

VALUES = {
    "seed": int,
    "numeric_threads": int,
    "cellxgene": bool,
}
SECTIONS = {
    "quality": QualityLimits,
    "ambient": AmbientLimits,
    "doublets": DoubletLimits,
    "lineage": LineageLimits,
    "atlas": AtlasSettings,
    "course": CourseSettings,
    "cluster": ClusterSettings,
    "claims": ClaimSettings,
    "leaning": LeaningSettings,
    "programmes": ProgrammeSettings,
    "novelty": NoveltySettings,
}
# Keys whose words are genes, by section.
GENES_NAMED = {
    "antigens": ("car_target", "genes"),
    "anxa1": ("gene", "contaminants", "coexpressed", "cycle_genes"),
}
SECTIONS_OF_JOBS = (
    "gene_ranks",
    "microenvironment",
    "suppression",
    "interactions",
    "immunoglobulin",
    "copy_number",
    "clones",
    "antigens",
    "anxa1",
    "car_calls",
    "cell_cycle",
    "t_cell_scores",
    "exhaustion",
    "car_fraction",
    "proliferation",
    "receptors",
    "t_cell_states",
    "report",
)


def config_problems(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the configuration, one line a key.

    The sections of `SECTIONS_OF_JOBS` are checked by the jobs that read them: their settings
    come with libraries too heavy to import before the first job.
    """
    known = {*PATHS, *VALUES, *SECTIONS, *SECTIONS_OF_JOBS}
    problems = [unknown_key(str(key), str(key), known) for key in config if key not in known]
    problems += place_problems(config)
    for key, kind in VALUES.items():
        value = config.get(key)
        if not isinstance(value, kind):
            problems.append(f"config {key}: {value!r} is not of type {kind.__name__}")
    if isinstance(config.get("numeric_threads"), int) and config["numeric_threads"] < 1:
        problems.append("config numeric_threads: must be 1 or more")
    for name, kind in SECTIONS.items():
        problems += section_problems(kind, config.get(name), name=name)
    if isinstance(config.get("atlas"), Mapping):
        inner = config["atlas"].get("integration")
        problems += section_problems(IntegrationSettings, inner, name="atlas.integration")
    return problems + gene_problems(config)


def gene_problems(config: Mapping[str, Any]) -> list[str]:
    """Return a line for each word that should be a gene symbol and is none.

    A misspelt gene would be absent from every matrix and pass for one that no cell shows.
    """
    problems = []
    for place, keys in GENES_NAMED.items():
        section = config.get(place)
        for key in keys if isinstance(section, Mapping) else ():
            for name in _names(section.get(key)):
                meant = symbol_meant(name, TARGET_ALIASES)
                if meant != name:
                    remedy = f"write {meant}" if meant else "give the HGNC symbol"
                    problems.append(f"config {place}.{key}: {name!r} is no gene symbol; {remedy}")
    return problems


def _names(value: Any) -> list[str]:
    """Return the words of a value: one, a list, or lists by name; others are checked as types."""
    if isinstance(value, Mapping):
        return [name for part in value.values() for name in _names(part)]
    if isinstance(value, list | tuple):
        return [name for name in value if isinstance(name, str)]
    return [value] if isinstance(value, str) else []
