"""What the desk shows: the queue, the run, the dossiers, all read anew from the folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from relapsescope import __version__
from relapsescope.errors import InputProblem
from relapsescope.provenance.record import run_state
from relapsescope.run.places import holder_of
from relapsescope.run.progress import INDEX, Progress, run_progress
from relapsescope.submissions.inbox import Handled, found_in
from relapsescope.vocabulary import SORTINGS, TIMEPOINTS, TISSUES

MOST_HANDLED = 50
"""Submissions that are shown; all lie in the inbox."""
TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("relapsescope.desk", "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
TEMPLATES.filters["words"] = lambda word: word.replace("_", " ")


@dataclass(frozen=True)
class Study:
    """The folders that a desk works on."""

    inbox: Path
    sheet: Path
    results: Path
    clinical: Path | None = None


@dataclass(frozen=True)
class State:
    """What there is to see of a study at one moment; `problems` say what cannot be read."""

    queue: tuple[Handled, ...]
    n_older: int
    progress: Progress | None
    run: str
    problems: tuple[str, ...]


def state_of(study: Study, *, trouble: Sequence[str] = ()) -> State:
    """Return what lies in a study's folders now.

    Parameters
    ----------
    trouble
        Why the inbox could not be worked through, to be shown with what else is wrong.
    """
    problems = list(trouble)
    queue: list[Handled] = []
    progress = None
    try:
        queue = [_without_place(one, study.inbox) for one in found_in(study.inbox)]
    except OSError as error:
        problems.append(f"the inbox cannot be read ({error.strerror})")
    try:
        if study.sheet.exists():
            progress = run_progress(study.sheet, study.results, clinical=study.clinical)
    except InputProblem as problem:
        problems += problem.problems
    n_waiting = sum(one.state == "waiting" for one in queue)
    shown = queue[: n_waiting + MOST_HANDLED]
    run = run_words(study.results)
    return State(tuple(shown), len(queue) - len(shown), progress, run, tuple(problems))


def _without_place(one: Handled, inbox: Path) -> Handled:
    """Return a submission whose reasons name its files, not where the inbox lies."""
    places = [f"{home}/{one.name}/" for home in (inbox, inbox.resolve(), inbox.absolute())]
    lines = one.lines
    for place in (*places, *(place.rstrip("/") for place in places)):
        short = "" if place.endswith("/") else one.name
        lines = tuple(line.replace(place, short) for line in lines)
    return Handled(one.name, one.state, lines)


def run_words(results: Path) -> str:
    """Return in words whether a run is at work, and how the last one ended."""
    state = run_state(results / "run_manifest.json")
    if results.is_dir() and holder_of(results):
        return "A run is at work."
    return {
        None: "No run has been started yet.",
        "succeeded": "No run is at work; the last one ended well.",
        "failed": "No run is at work; the last one failed: who runs the workflow finds the reason "
        "in the folder logs of the results.",
    }.get(state, "No run is at work; the last one was ended from outside and can be started again.")


def page(form_token: str, state: State, *, problems: Sequence[str] = ()) -> str:
    """Return the desk's page; `problems` are those of what was just sent."""
    return TEMPLATES.get_template("desk.html").render(
        token=form_token,
        state=state,
        problems=problems,
        timepoints=TIMEPOINTS,
        tissues=TISSUES,
        sortings=SORTINGS,
        index=INDEX.as_posix(),
        version=__version__,
    )


def fragment(state: State) -> str:
    """Return the part of the page that changes by itself."""
    return TEMPLATES.get_template("state.html").render(state=state, index=INDEX.as_posix())
