"""The RO-Crate of a run by the validator of its specification, where that is installed.

Contexts of JSON-LD are served from the copy that the crate's library brings, so nothing is fetched.
"""

import json
from importlib.resources import files
from types import MappingProxyType

import pytest
from relapsescope.deposit.crate import RUN_TERMS, SPECIFICATION, write_crate

from ..cohorts.small_run import write_results

pytest.importorskip(
    "rocrate_validator", reason="needs roc-validator beside .venv (docs/reproduce.md)"
)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def offline(monkeypatch):
    """Give the validator a context without the network."""
    import rdflib.plugins.shared.jsonld.context as of_rdflib
    from rocrate_validator.utils.http import HttpRequester

    context = json.loads((files("rocrate") / "data/ro-crate.jsonld").read_text())
    terms = {name: f"{RUN_TERMS}#{name}" for name in ("environment", "sha256")}
    context["@context"].update(terms)

    class Answer:
        status_code = 200
        headers = MappingProxyType({"Content-Type": "application/ld+json"})

        def json(self):
            return context

    for verb in ("get", "head"):
        monkeypatch.setattr(HttpRequester, verb, lambda *_, **__: Answer(), raising=False)
    monkeypatch.setattr(of_rdflib, "source_to_json", lambda *_, **__: (context, None))


def problems(folder):
    from rocrate_validator import models, services

    settings = services.ValidationSettings(
        rocrate_uri=str(folder),
        profile_identifier=f"ro-crate-{SPECIFICATION}",
        requirement_severity=models.Severity.REQUIRED,
        disable_remote_crate_download=True,
    )
    return [issue.message for issue in services.validate(settings).get_issues()]


def test_the_crate_meets_all_that_its_specification_requires(tmp_path, offline):
    results = tmp_path / "results"
    write_results(results, n_cells=60)
    manifest = {
        "state": "succeeded",
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T00:10:00+00:00",
        "git_commit": "unknown",
        "config": {"samples": "absent.tsv", "seed": 1},
        "threads": {"OMP_NUM_THREADS": "1"},
        "processor": "a processor",
        "machine": {"family": "25"},
        "system": "Linux",
        "versions": {"relapsescope": "0.1.0", "snakemake": "9.27.1", "python": "3.11.7"},
    }
    (results / "run_manifest.json").write_text(json.dumps(manifest))
    path, _ = write_crate(
        results, licence="https://example.org/l", agent="A Name", orcid="0000-0002-1825-0097"
    )
    assert problems(results) == []
    content = json.loads(path.read_text())
    for entity in content["@graph"]:
        if entity["@id"] == "./":
            del entity["license"], entity["datePublished"]
    path.write_text(json.dumps(content))
    assert len(problems(results)) >= 2
