"""The picture at the head of a patient's page: what it shows, and that nothing lies on anything."""

import html
import math
import random
import re

import numpy as np
import pytest
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.palette import UNORDERED, luminance
from relapsescope.figures.panel import PanelSettings
from relapsescope.mechanisms.cited import Row
from relapsescope.report.context import PatientContext
from relapsescope.report.overview import (
    Estimate,
    Library,
    Overview,
    Share,
    Therapy,
    Visit,
    overview_of,
)
from relapsescope.report.overview_drawing import (
    NARROW,
    SMALL,
    WIDE,
    apart,
    broken,
    drawing,
    length,
    packed,
)
from relapsescope.report.sections.patient_overview import TABLES, build
from relapsescope.run.config_file import default_values
from scipy.optimize import minimize

from ..cohorts.small_run import HOSTILE_REASON, write_results

LIMITS = (0.1, 0.6)
SIZES = (WIDE, NARROW)
CONFIG = default_values()
TEXT = re.compile(r"<text ([^>]*)>([^<]*)</text>")
NO_CLINIC = {"therapies": (), "earlier_lines": 0, "curve_name": "", "visits": (), "events": ()}
NO_CLINIC |= {"end_words": "", "target_name": "BCMA (TNFRSF17)"}


def library(i=1, day=None, **kinds):
    plain = {"words": ("relapse",), "shares": (), "clone_words": "none called", "target": None}
    plain |= {"target_words": "no cells", "car": None, "car_words": "not measured"}
    return Library(f"S{i}", day, **(plain | kinds))


def boxes(svg):
    """Return each text's left, top, right and bottom, by the room that a text may take."""
    found = []
    for attributes, words in TEXT.findall(str(svg)):
        of = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
        x, y, size = (float(of[name]) for name in ("x", "y", "font-size"))
        words = html.unescape(words)
        room = length(words, size) * (1.16 if "font-weight" in of else 1)
        back = {"start": 0, "middle": room / 2, "end": room}[of["text-anchor"]]
        if "transform" in of:
            box = (x - 0.75 * size, y - room + back, x + 0.2 * size, y + back)
        else:
            box = (x - back, y - 0.75 * size, x - back + room, y + 0.2 * size)
        found.append((words, box))
    return found


def collisions(svg):
    found = boxes(svg)
    return [
        (a, b)
        for i, (a, (l1, t1, r1, b1)) in enumerate(found)
        for b, (l2, t2, r2, b2) in found[i + 1 :]
        if min(r1, r2) - max(l1, l2) > 0.5 and min(b1, b2) - max(t1, t2) > 0.5
    ]


def any_overview(chance):
    """Return a patient of any kind: crowded or empty, with and without days and clinic."""
    words = ("before CAR-T", "product", "expansion", "remission", "relapse")
    libraries = []
    for i in range(chance.choice((0, 1, 2, 3, 5, 9, 15))):
        n = chance.choice((0, 1, 2, 6))
        clones = tuple(Share(f"C{j}", 1 / n, j == 0) for j in range(n))
        place = () if chance.random() < 0.5 else (chance.choice(("blood", "lymph node CD138+")),)
        measured = chance.random() < 0.5
        libraries.append(
            library(
                i,
                None if chance.random() < 0.2 else float(chance.randint(-200, 900)),
                words=(chance.choice(words), *place),
                shares=clones,
                clone_words=f"{chance.randint(1, 20000):,} cells" if n else "none called",
                target=Estimate(10 ** chance.uniform(-4, 1), math.nan, 30.0) if n else None,
                target_words="undecided" if n else "no cells",
                car=Estimate(chance.random(), 0.0, 1.0) if measured else None,
                car_words="none found" if measured else "not measured",
            )
        )
    days = sorted(chance.sample(range(-30, 900), chance.choice((0, 1, 8, 30))))
    calls = ("baseline", "SD", "PR", "sCR", "PD", "NE")
    visits = tuple(Visit(day, chance.choice(calls), chance.random() * 300) for day in days)
    therapies = tuple(
        Therapy("CAR-T: product" if car else "a long regimen", float(start), end, car)
        for start, end, car in (
            (chance.randint(-100, 900), chance.choice((None, 900.0)), chance.random() < 0.3)
            for _ in range(chance.choice((0, 1, 6)))
        )
    )
    events = tuple((day, f"progression, day {day}") for day in days[:: max(1, len(days) // 4)])
    return Overview(
        therapies,
        chance.choice((0, 1, 4)),
        "serum M-protein, g/dL",
        visits,
        events,
        chance.choice(("", "died on day 950")),
        "BCMA (TNFRSF17)",
        tuple(libraries),
    )


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("width", SIZES)
def test_no_two_words_lie_on_each_other_and_none_leaves_the_picture(width, seed):
    svg = drawing(any_overview(random.Random(seed)), width=width, limits=LIMITS)
    assert collisions(svg) == []
    height = float(re.search(r'viewBox="0 0 \d+ (\d+)"', str(svg))[1])
    for words, (left, top, right, bottom) in boxes(svg):
        assert left >= -1 and right <= width + 1, words
        assert top >= -1 and bottom <= height + 1, words


def test_places_are_the_nearest_that_keep_the_gap():
    generator = np.random.default_rng(5)
    for n in (2, 3, 6):
        wanted = np.sort(generator.uniform(0, 100, n))
        found = apart(list(wanted), 18, 0, 120)
        rules = [{"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i] - 18} for i in range(n - 1)]
        best = minimize(
            lambda x, wanted=wanted: ((x - wanted) ** 2).sum(),
            np.linspace(0, 120, n),
            bounds=[(0, 120)] * n,
            constraints=rules,
        )
        assert found == pytest.approx(best.x, abs=0.05)
    assert apart([], 10, 0, 100) == []
    # 5 places 40 apart do not fit into 100: as far apart as they can be.
    assert apart([50] * 5, 40, 0, 100) == pytest.approx([0, 25, 50, 75, 100])


def test_stretches_share_a_row_where_they_do_not_touch():
    assert packed([(0, 10), (5, 20), (17, 30), (27, 40)]) == [0, 1, 0, 1]
    assert packed([]) == []


def test_a_text_is_broken_where_it_fits():
    assert broken("one two three", length("one two", SMALL), SMALL) == ["one two", "three"]


def test_luminance_is_that_of_the_standard():
    assert luminance("#FFFFFF") == pytest.approx(1)
    assert luminance("#000000") == 0
    # 0.2126 of red at (128/255 + 0.055) / 1.055 to the power of 2.4.
    assert luminance("#800000") == pytest.approx(0.2126 * 0.21586, rel=1e-3)


def test_a_lane_without_data_says_so():
    bare = Overview(**NO_CLINIC, libraries=(library(),))
    told = " ".join(words for words, _ in boxes(drawing(bare, width=WIDE, limits=LIMITS)))
    for words in (
        "No line of therapy was given for these days (therapies.tsv).",
        "No laboratory value belongs to a line of therapy (labs.tsv).",
        "No malignant plasma cell was called in any library of this patient.",
        "Not judged in any library of this patient: no library holds malignant plasma cells.",
        "The CAR's transgene was not measured in any library of this patient.",
        "relapse day unknown",
    ):
        assert words in told, words
    assert "Days from CAR-T infusion" not in told
    nobody = Overview(**NO_CLINIC, libraries=())
    told = str(drawing(nobody, width=WIDE, limits=LIMITS))
    assert "No library of this patient is in the sample sheet." in told


def test_marks_stand_where_the_numbers_are():
    shown = library(
        day=100.0,
        shares=(Share("A", 0.25, False), Share("B", 0.75, True)),
        target=Estimate(0.1, 0.01, 1.0),
        car=Estimate(0.5, 0.25, 1.0),
    )
    visits = (Visit(0.0, "baseline", 4.0), Visit(100.0, "PD", 2.0))
    overview = Overview(**(NO_CLINIC | {"visits": visits}), libraries=(shown,))
    svg = str(drawing(overview, width=WIDE, limits=LIMITS))
    clones = "|".join(UNORDERED[:2])
    heights = [
        float(h) for h in re.findall(rf'<rect [^>]*height="([\d.]+)" fill="(?:{clones})', svg)
    ]
    bars = [h for h in heights if h not in (9, 12)]
    assert bars[1] == pytest.approx(3 * bars[0], rel=0.02)
    (curve,) = re.findall(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" fill="none"', svg)[:1]
    x0, y0, x1, y1 = map(float, curve)
    (base,) = {float(y) for y in re.findall(r'<text x="36" y="([\d.]+)"[^>]*>0</text>', svg)}
    assert (base - 3.5 - y0) == pytest.approx(2 * (base - 3.5 - y1), abs=0.2)
    assert x0 < x1
    # On its logarithm 0.1 stands in the middle of 0.01 and 1; a share of 0.5 in that of 0 and 1.
    lines = re.findall(
        r'<line x1="([\d.]+)" y1="([\d.]+)" x2="\1" y2="([\d.]+)"[^>]*width="2"', svg
    )
    discs = re.findall(r'<path d="M[\d.]+ ([\d.]+)a3.5 3.5', svg)
    (_, low, high), (_, low_car, high_car) = lines
    assert float(discs[0]) == pytest.approx((float(low) + float(high)) / 2, abs=0.2)
    span = (float(low_car) - float(high_car)) / 0.75
    assert float(low_car) - float(discs[1]) == pytest.approx(0.25 * span, abs=0.2)


def row(table, **values):
    return Row(table, {name: str(value) for name, value in values.items()})


def course_rows():
    common = {"patient_id": "P", "os_days": "", "os_event": ""}
    return [
        row("course", **common, line=1, therapy_class="imid", start_day=-900, end_day=-300),
        row(
            "course",
            **(common | {"os_days": 400, "os_event": "TRUE"}),
            line=2,
            therapy_class="car_t",
            regimen="ide-cel",
            start_day=0,
            measured_by="flc",
            best_response="VGPR",
            best_response_day=56,
            progression_day=112,
        ),
        row("course", **common, line=3, therapy_class="bispecific", start_day=112, regimen="Tec"),
    ]


CLONE = {"sample_id": "S1", "n_malignant": 50}


def visit(line, day, call, kappa, serum=""):
    values = {"patient_id": "P", "line": line, "day": day, "call": call}
    return row("assessments", **values, flc_kappa_mg_l=kappa, serum_m_protein_g_dl=serum)


def overview(**tables):
    empty = {name: [] for name in TABLES}
    sheet = [{"sample_id": "S1", "timepoint": "relapse", "day": "120", "tissue": "bone_marrow"}]
    sheet[0]["sorting"] = "CD138_positive"
    return overview_of(empty | tables, sheet, verdicts={"S1": "pass"}, car_target="TNFRSF17")


def test_the_course_is_that_of_the_tables():
    assessments = [
        visit(1, -7, "NE", 500),
        visit(2, -7, "baseline", 500),
        visit(2, 56, "VGPR", 20),
        visit(2, 112, "PD", 200),
        visit(3, 112, "baseline", 200),
        visit(3, 140, "PR", 90),
    ]
    found = overview(course=course_rows(), assessments=assessments)
    assert found.earlier_lines == 1
    assert [t.words for t in found.therapies] == ["CAR-T: ide-cel", "Tec"]
    assert found.curve_name == "free kappa, mg/L"
    assert [(v.day, v.call, v.value) for v in found.visits] == [
        (-7, "baseline", 500),
        (56, "VGPR", 20),
        (112, "PD", 200),
        (140, "PR", 90),
    ]
    assert found.events == (
        (56, "best response VGPR, day 56"),
        (112, "progression, day 112"),
    )
    assert found.end_words == "died on day 400"
    assert found.days == (-7, 140)


def test_a_library_shows_the_clone_that_came_back():
    clones = [
        row("clones", **CLONE, clone_id="A", fraction=0.2),
        row("clones", **CLONE, clone_id="B", fraction=0.8, is_relapse_clone="TRUE"),
    ]
    common = {"sample_id": "S1", "antigen": "GPRC5D", "is_car_target": "TRUE", "ratio_ci_low": 0}
    antigens = [
        row("antigens", **common, clone_id="all_malignant", verdict="REDUCED", ratio=0.3),
        row("antigens", **common, clone_id="B", verdict="LOST", ratio=0.02, ratio_ci_high=0.05),
    ]
    car = {"sample_id": "S1", "population": "car_detected", "fraction_of_t": 0}
    cars = [row("car_t", **car, n_cells=0, fraction_ci_low=0, fraction_ci_high=0.02)]
    (only,) = overview(clones=clones, antigens=antigens, car_t=cars).libraries
    assert only.words == ("relapse", "CD138+")
    assert only.clone_words == "50 cells"
    assert only.target == Estimate(0.02, 0.0, 0.05)
    assert only.target_words == "lost"
    assert (only.car, only.car_words) == (Estimate(0, 0, 0.02), "none found")
    assert overview(antigens=antigens).target_name == "GPRC5D"
    (without,) = overview(clones=clones).libraries
    assert (without.car, without.car_words) == (None, "not measured")
    assert (without.target, without.target_words) == (None, "no cells")


@pytest.fixture(scope="module")
def context_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overview")
    sheet = write_results(folder, hostile=True)
    evidence = read_evidence(folder, sheet=sheet)
    known = {"results": folder, "manifest": None, "settings": PanelSettings(), "versions": {}}
    return lambda patient: PatientContext(
        evidence, **known, config=CONFIG, patients=("P1",), patient_id=patient
    )


def test_the_picture_stands_in_words_with_links_to_its_numbers(context_of):
    section = build(context_of("P1"))
    page = str(section.html)
    assert page.count("<svg") == page.count('role="img"') == 2
    table = page[page.index("<table") :]
    cells = re.findall(r"<td>(.*?)</td>", table, re.S)
    words = [re.sub(r"<[^>]+>", "", cell) for cell in cells]
    assert "B 100 % of 100 malignant cells" in words
    assert "lost: ratio 0.010 (0.0010 to 0.050), of clone B" in words
    assert "12 % of T cells (8 to 20 %)" in words
    for cell in cells:
        if "href" in cell:
            assert re.findall(r">\d[\d.,]*</a>", cell)
    assert re.sub(r"<svg.*?</svg>", "", page, flags=re.S).count('<a class="cell"') > 6
    assert HOSTILE_REASON not in page


def test_a_patient_without_libraries_has_a_picture_that_says_so(context_of):
    page = str(build(context_of("P9")).html)
    assert "No library of this patient is in the sample sheet." in page
    assert "<table" not in page
