"""A run's figures once more, from its source data and its manifest and nothing else."""

from dataclasses import dataclass
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.figures.draw import (
    MANIFEST_COLUMNS,
    PANELS,
    draw_numbered,
    draw_panel,
    read_manifest,
    read_source_data,
)
from relapsescope.figures.panel import Panel
from relapsescope.provenance.record import file_hash


@dataclass(frozen=True)
class Redrawn:
    """What was redrawn.

    Attributes
    ----------
    pictures
        Names of all panels and numbered figures.
    changed
        Those whose pictures differ from what was there; empty when a run redraws as it was.
    edited
        Panels whose source data are not those that the manifest was written for.
    """

    pictures: tuple[str, ...]
    changed: tuple[str, ...]
    edited: tuple[str, ...]


def redraw(results: Path) -> Redrawn:
    """Draw every figure of a run from `source_data/*.csv` and `figures/manifest.tsv`.

    Pictures that come out with the bytes that they had are left alone.

    Raises
    ------
    InputProblem
        When the manifest or source data are missing or do not have the columns of a panel, or
        the manifest lists a panel that this version does not know.
    """
    path = results / "figures" / "manifest.tsv"
    if not path.is_file():
        raise InputProblem(f"{path}: no such file; name the folder of a run that has ended")
    manifest = read_manifest(results)
    absent = [name for name in MANIFEST_COLUMNS if name not in manifest.columns]
    if absent:
        raise InputProblem(f"{path}: no column {', '.join(absent)}; it is not a run's manifest")
    known = {panel.name: panel for panel in PANELS}
    problems = [
        f"{path} {name}: this version draws no such panel; use the version that made the run"
        for name in manifest["panel"]
        if name not in known
    ]
    panels = [known[name] for name in manifest["panel"] if name in known]
    problems += [problem for panel in panels for problem in _source_problems(panel, results)]
    if problems:
        raise InputProblem(*problems)
    edited = [
        name
        for name, expected in zip(manifest["panel"], manifest["sha256"], strict=True)
        if file_hash(results / "source_data" / f"{name}.csv") != expected
    ]
    changed = [
        panel.name
        for panel in panels
        if draw_panel(panel, results, test=manifest.loc[panel.name, "test"])
    ]
    changed += draw_numbered(results, manifest)
    folder = results / "figures"
    found = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.svg"))
    pictures = sorted(path.as_posix() for path in found)
    return Redrawn(tuple(pictures), tuple(changed), tuple(edited))


def _source_problems(panel: Panel, results: Path) -> list[str]:
    path = results / "source_data" / f"{panel.name}.csv"
    if not path.is_file():
        return [f"{path}: no such file; the figure cannot be drawn without its numbers"]
    try:
        read_source_data(panel, results)
    except KeyError as name:
        return [f"{path}: no column {name.args[0]}; it is not the source data of this panel"]
    except ValueError as problem:  # of pandas' parser and of the encoding
        return [f"{path}: not a table ({' '.join(str(problem).split())})"]
    return []
