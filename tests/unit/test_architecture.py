"""The house keeps its order: what may import what, and how many rooms and floors there are."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from relapsescope import vocabulary
from relapsescope.paths import REPOSITORY

PACKAGE = REPOSITORY / "workflow/relapsescope"
HEAVY = {"numpy", "pandas", "scipy", "pyarrow", "h5py", "altair", "torch", "scanpy", "jinja2"}
MOST_ROOMS, MOST_LAYERS = 30, 11
# A function with its docstring fits on a screen.
MOST_LINES = 80
# From the ground upwards; a room may import rooms of its own floor, and of lower ones.
FLOORS = (
    ("errors", "vocabulary", "paths", "tables", "settings"),
    ("provenance", "statistics", "intake", "libraries", "survival", "public_cohorts"),
    (
        *("atlas", "cohort", "clones", "antigens", "car_t", "t_cells", "programmes", "course"),
        *("microenvironment", "reference", "mechanisms", "simulate"),
    ),
    ("figures", "report", "run", "deposit", "submissions", "desk"),
    ("commands",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path: Path, *, late: bool) -> set[str]:
    """Return the package's modules that a module imports; with `late`, inside functions too."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if late else tree.body
    found = set()
    for node in nodes:
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relapsescope"):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.removeprefix("relapsescope.") for name in names}
    return found & MODULES.keys() - {module_of(path)}


@cache
def rooms_imported() -> dict[str, set[str]]:
    rooms: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        room = name.split(".")[0]
        others = {other.split(".")[0] for other in imports_of(path, late=True)}
        rooms.setdefault(room, set()).update(others - {room})
    return {room: others - {""} for room, others in rooms.items() if room not in ("", "__main__")}


def test_no_room_imports_in_a_circle_and_there_are_few_layers():
    order = TopologicalSorter(rooms_imported())
    order.prepare()
    layers = 0
    while order.is_active():
        ready = order.get_ready()
        order.done(*ready)
        layers += 1
    assert layers <= MOST_LAYERS


def test_no_module_imports_in_a_circle():
    graph = {name: imports_of(path, late=False) for name, path in MODULES.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_there_are_few_rooms_and_each_has_its_floor():
    rooms = rooms_imported()
    assert len(rooms) <= MOST_ROOMS
    assert set(rooms) <= FLOOR_OF.keys()


@pytest.mark.parametrize("room", rooms_imported())
def test_no_room_imports_from_a_floor_above(room):
    above = {other for other in rooms_imported()[room] if FLOOR_OF[other] > FLOOR_OF[room]}
    assert above == set()


def test_every_function_fits_on_a_screen():
    long = {
        f"{name}.{node.name}": node.end_lineno - node.lineno + 1
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= MOST_LINES
    }
    assert long == {}


def test_no_function_takes_more_than_five_arguments_by_place():
    many = [
        f"{name}.{node.name}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for named in [[arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]]
        if len(named) - (named[:1] in (["self"], ["cls"])) > 5
    ]
    assert many == []


def test_the_package_knows_nothing_of_snakemake():
    for path in MODULES.values():
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.M), path


def test_settings_of_every_room_need_the_standard_library_only():
    rooms = [name for name in MODULES if name.endswith("settings") and name != "settings"]
    code = (
        "import sys;"
        + ";".join(f"import relapsescope.{name}" for name in rooms)
        + ";print({name.split('.')[0] for name in sys.modules}"
        " - set(sys.stdlib_module_names) - set(sys.builtin_module_names))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in ast.literal_eval(found.stdout) if not name.startswith("__")}
    # yaml comes with the workflow, which has read the configuration by then.
    assert loaded & HEAVY == set()
    assert "relapsescope" in loaded


def words_of_verdicts() -> set[str]:
    return {
        value
        for name, value in vars(vocabulary).items()
        if isinstance(value, str) and re.fullmatch(r"[A-Z_]{4,}", value) and name.isupper()
    }


def test_the_words_of_verdicts_stand_in_the_vocabulary_only():
    """A word that is written again drifts; docstrings and sentences may hold it."""
    words = words_of_verdicts()
    assert {"LOST", "INDETERMINATE", "NOT_SUPPORTED"} <= words
    found = [
        (name, node.lineno, node.value)
        for name in sorted(MODULES.keys() - {"vocabulary"})
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.Constant) and node.value in words
    ]
    assert found == []


def test_scanpy_is_imported_by_one_module_and_by_no_job_of_a_library_or_patient():
    """Its import costs seconds of every process."""
    having = {
        name
        for name, path in MODULES.items()
        if re.search(r"^\s*(import|from) scanpy", path.read_text(), re.M)
    }
    assert having == {"atlas.graph"}

    def reached(name: str, seen: set[str]) -> set[str]:
        for other in imports_of(MODULES[name], late=True) - seen:
            seen |= {other} | reached(other, seen | {other})
        return seen

    jobs = ("libraries.library", "clones.patient_clones", "antigens.tallies", "car_t.cells")
    jobs += ("t_cells.patient_states", "t_cells.patient_receptors", "microenvironment.tallies")
    for job in jobs:
        assert not having & reached(job, set()), job
    assert having & reached("atlas.build", set())


def test_principal_axes_have_one_home():
    """Eigenvectors are asked of `statistics.principal_axes`, whoever needs them."""
    having = {
        name
        for name, path in MODULES.items()
        if re.search(r"linalg\.(eigh|eig|qr)\(", path.read_text())
    }
    assert having == {"statistics.principal_axes"}
