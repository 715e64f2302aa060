"""A run as an RO-Crate: what was made, from what, by which workflow, settings and software.

The profile is Workflow Run Crate 0.6 (w3id.org/ro/wfrun/workflow) over RO-Crate 1.3. The run's own
folder becomes the crate; inputs are described with their hashes and stay where they are.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from relapsescope.errors import InputProblem
from relapsescope.figures.draw import read_manifest
from relapsescope.intake.sheet import read_sheet
from relapsescope.paths import REPOSITORY
from relapsescope.provenance.record import NOT_INSTALLED, PATHS
from relapsescope.tables import write_json

SPECIFICATION = "1.3"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.6": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.6": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.1": "Workflow RO-Crate",
}
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
RUN_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
"""Context in which `environment` of an action has its meaning."""
PACKAGES = "https://pypi.org/project/{name}/{version}/"
PYTHON = "https://www.python.org/downloads/release/python-{digits}/"
MIT = "https://spdx.org/licenses/MIT"
ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
STATUS = {"succeeded": "CompletedActionStatus", "failed": "FailedActionStatus"}
FOLDERS = ("tables", "source_data", "figures", "report", "course")
"""Folders of a run whose files the crate holds; counts and fragments of libraries are left out."""
CONTENTS = {
    "tables": "table of results; its columns are explained in docs/outputs.md of the workflow",
    "source_data": "the numbers that a figure shows",
    "figures": "figure, drawn from source_data alone",
    "report": "page of the cohort or of a patient, opens offline",
    "course": "the clinical course, a table each step",
    "workflow": "rules of the workflow",
}
MEDIA = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/vnd.apache.parquet",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".html": "text/html",
    ".md": "text/markdown",
    ".json": "application/json",
    ".smk": "text/plain",
    "": "text/plain",
}
RESEARCH_ONLY = "For research use only; not a medical device."
NO_LICENCE = "No licence is stated: ask those who made these results before you reuse them."


def write_crate(
    results: Path, *, licence: str = "", agent: str = "", orcid: str = ""
) -> tuple[Path, list[str]]:
    """Write `ro-crate-metadata.json` into a run's folder; return it and what could not be told.

    Copies the workflow's Snakefile and rules into `workflow/` beside the results, as the profile
    asks for. The same run gives the same bytes: every time in it is the run's own.

    Parameters
    ----------
    licence
        Address of the licence of the results.
    agent, orcid
        Who ran the workflow: a name, and the person's ORCID iD; an organisation has none.

    Raises
    ------
    InputProblem
        When the folder is no run, its run has not ended, or the ORCID iD cannot be one.
    """
    run = _ended_run(results)
    if orcid and not is_orcid(orcid):
        raise InputProblem(f"--orcid {orcid}: no ORCID iD; give it as 0000-0002-1825-0097")
    crate = ROCrate(version=SPECIFICATION)
    crate.metadata.extra_contexts.append(RUN_TERMS)
    _describe_root(crate, run, licence)
    workflow = _add_workflow(crate, results, run)
    objects, untold = _add_inputs(crate, run)
    objects += _add_settings(crate, workflow, run["config"])
    made = [_add_file(crate, results, path) for path in _result_files(results)]
    _name_files(crate, results)
    # Described by the profile as what a run is: the action that made the files.
    action = crate.add_action(
        workflow,
        identifier="#run",
        object=objects,
        result=made,
        properties={
            "name": "Run of Relapsescope",
            "description": "snakemake with the settings that stand under object",
            "startTime": run["started"],
            "endTime": run["ended"],
            "actionStatus": f"http://schema.org/{STATUS[run['state']]}",
        },
    )
    crate.root_dataset["mentions"] = [action]
    if agent or orcid:
        action["agent"] = _add_agent(crate, agent, orcid)
    else:
        untold.append("who ran it: name a person or an organisation with --agent and --orcid")
    action["environment"] = [
        crate.add(_property(crate, f"#{name.replace(' ', '-')}", name, value))
        for name, value in sorted(
            {
                **run["threads"],
                "processor": run["processor"],
                **{f"processor {name}": value for name, value in run.get("machine", {}).items()},
                "system": run["system"],
            }.items()
        )
        if value is not None
    ]
    path = results / "ro-crate-metadata.json"
    write_json(path, crate.metadata.generate())
    return path, untold


def _ended_run(results: Path) -> dict[str, Any]:
    path = results / "run_manifest.json"
    if not path.is_file():
        raise InputProblem(f"{path}: no such file; name the folder of a run")
    try:
        run = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as problem:
        raise InputProblem(f"{path}: cannot be read ({problem})") from None
    if run.get("state") not in STATUS:
        raise InputProblem(f"{path}: the run's state is {run.get('state')!r}; let it end first")
    return run


def _describe_root(crate: ROCrate, run: Mapping[str, Any], licence: str) -> None:
    root = crate.root_dataset
    root["name"] = "Results of Relapsescope"
    root["description"] = (
        "Which myeloma cells came back after CAR-T, and why they were not killed: tables, figures "
        f"with their numbers, and pages of one run. {RESEARCH_ONLY}"
    )
    root["datePublished"] = run["ended"]
    root["license"] = _licence(crate, licence, licence) if licence else NO_LICENCE
    root["conformsTo"] = [
        crate.add(
            ContextEntity(
                crate,
                address,
                {
                    "@type": ["CreativeWork", "Profile"],
                    "name": name,
                    "version": address.rsplit("/", 1)[-1],
                },
            )
        )
        for address, name in PROFILES.items()
    ]


def _licence(crate: ROCrate, address: str, name: str) -> Entity:
    properties = {"@type": "CreativeWork", "name": name, "url": address}
    return crate.add(ContextEntity(crate, address, properties))


def _add_agent(crate: ROCrate, name: str, orcid: str) -> Entity:
    """Return who ran the workflow: a person where there is an ORCID iD, else an organisation."""
    address = f"https://orcid.org/{orcid}" if orcid else "#agent"
    kind = "Person" if orcid else "Organization"
    return crate.add(ContextEntity(crate, address, {"@type": kind, "name": name or orcid}))


def is_orcid(text: str) -> bool:
    """Return whether a text is an ORCID iD: sixteen digits of which the last checks the others.

    The check digit is that of ISO 7064 MOD 11-2, as orcid.org describes it.
    """
    if not ORCID.fullmatch(text):
        return False
    *digits, check = text.replace("-", "")
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    return check == "0123456789X"[(12 - total % 11) % 11]


def _add_workflow(crate: ROCrate, results: Path, run: Mapping[str, Any]) -> Entity:
    """Copy the Snakefile and the rules into the crate and return the Snakefile's entity."""
    source, target = REPOSITORY / "workflow", results / "workflow"
    for path in (source / "Snakefile", *sorted((source / "rules").glob("*.smk"))):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    workflow = crate.add_workflow(
        target / "Snakefile",
        dest_path="workflow/Snakefile",
        main=True,
        lang="snakemake",
        lang_version=run["versions"].get("snakemake"),
        properties={
            "name": "Relapsescope",
            "version": run["versions"].get("relapsescope"),
            "identifier": f"git commit {run['git_commit']}",
            "license": _licence(crate, MIT, "MIT License"),
            "conformsTo": crate.add(
                ContextEntity(
                    crate, BIOSCHEMAS, {"@type": "CreativeWork", "name": "ComputationalWorkflow"}
                )
            ),
            **_file_properties(target / "Snakefile"),
        },
    )
    workflow["hasPart"] = [
        _add_file(crate, results, path) for path in sorted((target / "rules").glob("*.smk"))
    ]
    workflow["softwareRequirements"] = [
        crate.add(
            ContextEntity(
                crate,
                _software_address(name, version),
                {
                    "@type": "SoftwareApplication",
                    "name": name,
                    "version": version,
                    "url": _software_address(name, version),
                },
            )
        )
        for name, version in sorted(run["versions"].items())
        if name != "relapsescope" and version != NOT_INSTALLED
    ]
    return workflow


def _software_address(name: str, version: str) -> str:
    """Return where a version of a package is published; a local build has its release's page."""
    release = version.partition("+")[0]
    if name == "python":
        return PYTHON.format(digits=release.replace(".", ""))
    return PACKAGES.format(name=name, version=release)


def _add_inputs(crate: ROCrate, run: Mapping[str, Any]) -> tuple[list[Entity], list[str]]:
    """Return the sheet and every matrix as entities with hashes, and what could not be found.

    Names are those of the libraries: a path would tell of the machine and of nothing else.
    """
    sheet = Path(run["config"]["samples"])
    properties = {"name": "sample sheet", "sha256": run.get("sheet_sha256")}
    entities = [_creative_work(crate, "#input-sheet", properties)]
    try:
        libraries = read_sheet(sheet)
    except InputProblem:
        return entities, [f"{sheet}: not found from here, so that no matrix was hashed"]
    untold = []
    for library in libraries:
        for kind in ("matrix", "raw_matrix"):
            path = getattr(library, kind)
            if not path:
                continue
            words = "unfiltered counts" if kind == "raw_matrix" else "filtered counts"
            properties = {"name": f"{words} of {library.sample_id}"}
            if path.exists():
                properties |= _input_properties(path)
            else:
                untold.append(f"{path}: not found, so that it was not hashed")
            entities.append(_creative_work(crate, f"#input-{library.sample_id}-{kind}", properties))
    return entities, untold


def _add_settings(crate: ROCrate, workflow: Entity, config: Mapping[str, Any]) -> list[Entity]:
    """Return the settings of the run as values of the workflow's parameters; paths left out."""
    parameters, values = [], []
    for name, value in sorted(config.items()):
        if name in PATHS:
            continue
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        parameter = crate.add(
            ContextEntity(
                crate,
                f"#parameter-{name}",
                {
                    "@type": "FormalParameter",
                    "name": name,
                    "additionalType": "PropertyValue",
                    "valueRequired": False,
                },
            )
        )
        setting = crate.add(_property(crate, f"#setting-{name}", name, text))
        setting["exampleOfWork"] = parameter
        parameters.append(parameter)
        values.append(setting)
    workflow["input"] = parameters
    return values


def _result_files(results: Path) -> Iterator[Path]:
    yield results / "run_manifest.json"
    for folder in FOLDERS:
        for path in sorted((results / folder).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path


def _add_file(crate: ROCrate, results: Path, path: Path) -> Entity:
    name = path.relative_to(results).as_posix()
    words = CONTENTS.get(name.split("/")[0], "what made this run and how it ended")
    properties = {"name": name, "description": words, **_file_properties(path)}
    return crate.add_file(path, dest_path=name, properties=properties)


def _name_files(crate: ROCrate, results: Path) -> None:
    """Give pictures and source data the title and the claim of their panel."""
    if not (results / "figures" / "manifest.tsv").is_file():
        return
    for panel, row in read_manifest(results).iterrows():
        for name in (
            f"figures/{panel}.svg",
            f"figures/{panel}.png",
            f"source_data/{panel}.csv",
        ):
            entity = crate.get(name)
            if entity is not None:
                entity["name"] = row["title"]
                entity["description"] = row["claim"]


def _file_properties(path: Path) -> dict[str, Any]:
    return {
        "sha256": _sha256(path),
        "contentSize": str(path.stat().st_size),
        "encodingFormat": MEDIA.get(path.suffix, "application/octet-stream"),
    }


def _input_properties(path: Path) -> dict[str, Any]:
    """Return hash and size of a matrix; of a folder, those of its files by name."""
    if path.is_file():
        return {"sha256": _sha256(path), "contentSize": str(path.stat().st_size)}
    files = sorted(item for item in path.iterdir() if item.is_file())
    listed = "".join(f"{_sha256(item)}  {item.name}\n" for item in files)
    return {
        "sha256": hashlib.sha256(listed.encode()).hexdigest(),
        "contentSize": str(sum(item.stat().st_size for item in files)),
        "description": "hash of the list of its files' hashes, as sha256sum prints them",
    }


def _sha256(path: Path) -> str:
    """Return the hash of a file, which may be larger than memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _creative_work(crate: ROCrate, identifier: str, properties: Mapping[str, Any]) -> Entity:
    known = {name: value for name, value in properties.items() if value is not None}
    return crate.add(ContextEntity(crate, identifier, {"@type": "CreativeWork", **known}))


def _property(crate: ROCrate, identifier: str, name: str, value: str) -> ContextEntity:
    return ContextEntity(
        crate, identifier, {"@type": "PropertyValue", "name": name, "value": str(value)}
    )
