"""Draw `Overview` as SVG: lanes over one axis of days, no two labels on each other.

Places are counted here rather than left to a renderer: libraries that were taken days apart must
stand apart and keep their tie to the axis, on a screen, a phone and paper alike. Text is given more
room than any common typeface needs, so that it fits whatever the reader's system has.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from relapsescope.figures.course_markers import CALL_COLOURS
from relapsescope.figures.palette import UNORDERED, ink_on
from relapsescope.report.overview import (
    EARLIEST_DAY,
    NOT_MEASURED,
    Estimate,
    Library,
    Overview,
    Therapy,
    head,
)

WIDE, NARROW = 860, 356
"""Widths in pixels: of a page on a screen and on paper, and on a phone."""
LEFT, RIGHT = 40, 10
CHARACTER = 0.62
"""Width of a character in parts of the font's size, above the mean of common typefaces."""
BOLD = 1.16
"""By how much bold letters, many of them capitals, are wider."""
FONT, SMALL = 11, 10
LANE, BAR, ROW, BESIDE = 40, 22, 14, 12
"""Height of a lane, widest bar, height of a line of therapy, room before what has no day."""
INK, QUIET, FAINT, TARGET, CAR = "#1f2933", "#52606d", "#d5dae0", "#8c3b00", "#0b4a75"
LEAST_RATIO, MOST_RATIO = 0.01, 4.0
"""Ends of the target's axis; what lies beyond is drawn at the end."""
STEPS = (7, 14, 30, 60, 90, 120, 180, 360, 720, 1440)


@dataclass
class _Sheet:
    """Marks so far, and the height that they take."""

    width: int
    marks: list[Markup] = field(default_factory=list)
    height: float = 0.0

    @property
    def right(self) -> float:
        return self.width - RIGHT

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, **more: str) -> None:
        self._add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": colour} | more)

    def box(self, x: float, y: float, width: float, height: float, *, fill: str, tip: str) -> None:
        places = {"x": x, "y": y, "width": max(width, 0.5), "height": max(height, 0.5)}
        self._add("rect", places | {"fill": fill}, tip=tip)

    def path(self, d: str, tip: str = "", **more: str) -> None:
        self._add("path", {"d": d} | more, tip=tip)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = FONT,
        colour: str = INK,
        anchor: str = "start",
        **more: str,
    ) -> None:
        places = {"x": x, "y": y, "font-size": size, "fill": colour, "text-anchor": anchor}
        self._add("text", places | more, words=words)

    def title(self, words: str, note: str = "") -> None:
        """Begin a lane: its name, and in quiet letters what it shows, on lines of its own."""
        self.height += 15
        self.text(0, self.height - 3, words, **{"font-weight": "650"})
        after = length(words, FONT) * BOLD + 8
        if note and length(note, SMALL) <= self.width - after:
            self.text(after, self.height - 3, note, size=SMALL, colour=QUIET)
        elif note:
            self.paragraph(note)

    def paragraph(self, words: str) -> None:
        for line in broken(words, self.width, SMALL):
            self.height += 13
            self.text(0, self.height - 3, line, size=SMALL, colour=QUIET)

    def _add(
        self, name: str, attributes: dict[str, str | float], *, words: str = "", tip: str = ""
    ) -> None:
        told = Markup("").join(
            Markup(' {}="{}"').format(key.replace("_", "-"), _short(value))
            for key, value in attributes.items()
        )
        inner = Markup("<title>{}</title>").format(tip) if tip else escape(words)
        self.marks.append(Markup("<{0}{1}>{2}</{0}>").format(Markup(name), told, inner))


def drawing(overview: Overview, *, width: int, limits: tuple[float, float]) -> Markup:
    """Return the picture, `width` pixels wide, as an element for a page.

    Parameters
    ----------
    limits
        Ratios to the reference under which an antigen is lost, and under which it is reduced.
    """
    sheet = _Sheet(width)
    columns = Columns(overview, width)
    _axis(sheet, columns)
    _treatment(sheet, overview, columns)
    _response(sheet, overview, columns)
    _libraries(sheet, overview.libraries, columns)
    _clones(sheet, overview.libraries, columns)
    _target(sheet, overview, columns, limits)
    _car_t(sheet, overview.libraries, columns)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" '
        'role="img" aria-label="{2}">{3}</svg>'
    ).format(width, round(sheet.height + 2), spoken(overview), Markup("").join(sheet.marks))


def spoken(overview: Overview) -> str:
    """Return what the picture shows in a sentence, for who does not see it."""
    n = len(overview.libraries)
    told = [f"{n} {'library' if n == 1 else 'libraries'} over one axis of days"]
    told += [words for _, words in overview.events]
    told += [overview.end_words] if overview.end_words else []
    return "Course, clones, target and CAR-T cells: " + "; ".join(told) + ". In words below."


class Columns:
    """Where a day stands across the picture, and where each library does.

    A library stands at its day, moved aside as little as needed to be told from its neighbours;
    one without a day stands at the right, beside the axis.
    """

    def __init__(self, overview: Overview, width: int) -> None:
        self.days = overview.days
        libraries = overview.libraries
        dated = [one for one in libraries if one.day is not None]
        dated.sort(key=lambda one: one.day)
        undated = [one for one in libraries if one.day is None]
        wanted = max((length(w, SMALL) for one in libraries for w in _words(one)), default=0) + 6
        beside = BESIDE if undated and dated else 0
        room = width - RIGHT - LEFT - beside
        self.pitch = min(max(wanted, 46.0), room / max(len(libraries), 1))
        self.upright = self.pitch >= wanted
        self.end = width - RIGHT - self.pitch * len(undated) - beside
        half = self.pitch / 2
        places = apart(
            [self.at(one.day) for one in dated], self.pitch, LEFT + half, self.end - half
        )
        self.place = {one.sample_id: x for one, x in zip(dated, places, strict=True)}
        first = self.end + beside if dated else LEFT
        for i, one in enumerate(undated):
            self.place[one.sample_id] = first + self.pitch * (i + 0.5)

    def at(self, day: float) -> float:
        """Return the place of a day on the axis, its ends for days beyond."""
        first, last = self.days
        share = (min(max(day, first), last) - first) / (last - first)
        # The axis leaves a margin for marks that stand on its ends.
        return LEFT + 8 + share * (self.end - LEFT - 16)


def _words(library: Library) -> tuple[str, ...]:
    """Return everything that is written at a library's column."""
    return (*head(library), library.clone_words, library.target_words, library.car_words)


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places at least `gap` apart and within `low` to `high`, as near to `wanted` as can be.

    Least squares by pooling neighbours (isotonic regression of places less their order's gaps).
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    pools: list[list[float]] = []  # sum and number of each
    for i, place in enumerate(wanted):
        pools.append([place - i * gap, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, number = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += number
    most = high - gap * (len(wanted) - 1)
    level = [min(max(total / n, low), most) for total, n in pools for _ in range(int(n))]
    return [place + i * gap for i, place in enumerate(level)]


def packed(extents: Iterable[tuple[float, float]], gap: float = 6) -> list[int]:
    """Return a row for each stretch from left to right, so that none touch within a row."""
    ends: list[float] = []
    rows = []
    for left, right in extents:
        row = next((i for i, end in enumerate(ends) if end + gap <= left), len(ends))
        if row == len(ends):
            ends.append(right)
        ends[row] = right
        rows.append(row)
    return rows


def length(words: str, size: float) -> float:
    """Return the room in pixels that a text takes at most."""
    return CHARACTER * size * len(words)


def broken(words: str, width: float, size: float) -> list[str]:
    """Return a text in lines that fit."""
    lines = [""]
    for word in words.split():
        if lines[-1] and length(f"{lines[-1]} {word}", size) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _treatment(sheet: _Sheet, overview: Overview, columns: Columns) -> None:
    earlier = overview.earlier_lines
    told = [overview.end_words]
    if earlier:
        lines = "1 earlier line" if earlier == 1 else f"{earlier} earlier lines"
        told.append(f"{lines}, before day {EARLIEST_DAY:g}, not drawn".replace("-", "−"))
    sheet.title("Treatment", "; ".join(filter(None, told)))
    if not overview.therapies:
        sheet.paragraph("No line of therapy was given for these days (therapies.tsv).")
        return
    spans = sorted(
        (_therapy_span(therapy, columns) for therapy in overview.therapies),
        key=lambda span: span.left,
    )
    rows = packed((span.left, span.right) for span in spans)
    for span, row in zip(spans, rows, strict=True):
        y = sheet.height + 2 + row * ROW
        colour = CAR if span.therapy.is_car_t else QUIET
        tip = f"{span.therapy.words}, from day {span.therapy.start:g}"
        if span.therapy.is_car_t:
            x = span.start
            sheet.path(f"M{x:.1f} {y}l5 5.5l-5 5.5l-5 -5.5z", tip, fill=colour)
        else:
            sheet.box(span.start, y + 1, span.end - span.start, 9, fill=colour, tip=tip)
        sheet.text(span.text, y + 9.5, span.therapy.words, size=SMALL, colour=colour)
    sheet.height += ROW * (max(rows) + 1) + 3


@dataclass(frozen=True)
class _Span:
    therapy: Therapy
    start: float
    end: float
    text: float
    left: float
    right: float


def _therapy_span(therapy: Therapy, columns: Columns) -> _Span:
    """Return where a line's bar and its name stand: behind the bar, or before it at the edge."""
    start = columns.at(therapy.start)
    end = columns.at(math.inf if therapy.end is None else therapy.end)
    half = 5 if therapy.is_car_t else 0
    end = max(end, start + 3) if not therapy.is_car_t else start
    room = length(therapy.words, SMALL)
    text = end + half + 4
    if text + room > columns.end:
        text = max(start - half - 4 - room, 0)
    return _Span(therapy, start, end, text, min(start - half, text), max(end + half, text + room))


def _response(sheet: _Sheet, overview: Overview, columns: Columns) -> None:
    """Draw what each visit meets, the confirmed best response and progression, and the curve."""
    values = [visit for visit in overview.visits if not math.isnan(visit.value)]
    strip = "strip: IMWG response of each visit"
    note = f"{overview.curve_name}, from 0; {strip}" if values else strip
    sheet.title("Response", note if overview.visits else "")
    if not overview.visits:
        sheet.paragraph("No laboratory value belongs to a line of therapy (labs.tsv).")
        return
    _events(sheet, overview, columns)
    _calls(sheet, overview, columns)
    if not values:
        return
    top, bottom = sheet.height + 4, sheet.height + LANE
    most = max(max(visit.value for visit in values), 1e-9)
    heights = _linear(0, most, bottom, top)
    sheet.line(LEFT, bottom, columns.end, bottom, FAINT)
    for value in (0, most):
        sheet.text(
            LEFT - 4, heights(value) + 3.5, f"{value:.3g}", size=SMALL, colour=QUIET, anchor="end"
        )
    points = [(columns.at(visit.day), heights(visit.value)) for visit in values]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    sheet.path(f"M{line}", fill="none", stroke=INK, stroke_width="1.6")
    for (x, y), visit in zip(points, values, strict=True):
        tip = f"day {visit.day:g}: {visit.value:.3g} ({overview.curve_name})"
        sheet.path(_disc(x, y, 2), tip, fill=INK)
    sheet.height = bottom + 2


def _events(sheet: _Sheet, overview: Overview, columns: Columns) -> None:
    if not overview.events:
        return
    placed = []
    for day, words in overview.events:
        x, room = columns.at(day), length(words, SMALL)
        left = min(max(x - room / 2, 0), sheet.right - room)
        placed.append((x, left, left + room, words))
    rows = packed((left, right) for _, left, right, _ in placed)
    base = sheet.height + 13 * (max(rows) + 1)
    for (x, left, _, words), row in zip(placed, rows, strict=True):
        y = sheet.height + 13 * (row + 1)
        colour = TARGET if words.startswith("progression") else INK
        sheet.text(left, y - 2.5, words, size=SMALL, colour=colour)
        sheet.path(f"M{x:.1f} {base + 5:.1f}l-3.5 -5h7z", words, fill=colour)
    sheet.height = base + 6


def _calls(sheet: _Sheet, overview: Overview, columns: Columns) -> None:
    """Draw a strip: each stretch of visits that meet the same, named where the name fits."""
    visits, y = overview.visits, sheet.height
    last = columns.at(visits[-1].day) + 8
    at = 0
    while at < len(visits):
        after = next((i for i in range(at, len(visits)) if visits[i].call != visits[at].call), None)
        left = columns.at(visits[at].day)
        right = last if after is None else columns.at(visits[after].day)
        call = visits[at].call
        colour = CALL_COLOURS.get(call, FAINT)
        sheet.box(
            left, y, right - left - 1, 12, fill=colour, tip=f"{call} from day {visits[at].day:g}"
        )
        if length(call, SMALL) <= right - left - 2:
            ink = ink_on(colour)
            sheet.text(
                (left + right - 1) / 2, y + 9.5, call, size=SMALL, colour=ink, anchor="middle"
            )
        at = len(visits) if after is None else after
    sheet.height += 14


def _axis(sheet: _Sheet, columns: Columns) -> None:
    """Draw the axis of days, at the top; what stands below is placed by it."""
    if columns.days is None:
        return
    sheet.title("Days from CAR-T infusion")
    first, last = columns.days
    axis = sheet.height + 16
    sheet.line(LEFT, axis, columns.end, axis, QUIET)
    span = (columns.at(last) - columns.at(first)) / (last - first)
    widest = length("−1,000", SMALL) + 8
    step = next((step for step in STEPS if step * span >= widest), 3600)
    for day in range(math.ceil(first / step) * step, math.floor(last) + 1, step):
        x = columns.at(day)
        sheet.line(x, axis, x, axis - 3, QUIET)
        words = f"{day:,}".replace("-", "−")
        sheet.text(x, axis - 5, words, size=SMALL, colour=QUIET, anchor="middle")
    sheet.height = axis + 3


def _libraries(sheet: _Sheet, libraries: Sequence[Library], columns: Columns) -> None:
    """Draw a tie from each library's day to its column, and the columns' heads."""
    sheet.title("Libraries", "" if columns.days is None else "each tied to its day")
    if not libraries:
        sheet.paragraph("No library of this patient is in the sample sheet.")
        return
    top = sheet.height + 7
    if columns.place and columns.days is not None:
        sheet.line(LEFT, top, columns.end, top, QUIET)
        for library in libraries:
            if library.day is None:
                continue
            day, x = columns.at(library.day), columns.place[library.sample_id]
            tip = f"{library.sample_id}, {', '.join(head(library))}"
            sheet.line(day, top - 5, day, top, CAR, **{"stroke-width": "2.5"})
            sheet.path(f"M{day:.1f} {top}L{x:.1f} {top + 14}", tip, fill="none", stroke=CAR)
        sheet.height = top + 15
    _heads(sheet, libraries, columns)


def _heads(sheet: _Sheet, libraries: Sequence[Library], columns: Columns) -> None:
    lines = max(len(head(library)) for library in libraries)
    most = max(length(", ".join(head(library)), SMALL) for library in libraries)
    for library in libraries:
        x = columns.place[library.sample_id]
        if columns.upright:
            for i, words in enumerate(head(library)):
                sheet.text(x, sheet.height + 10 + 12 * i, words, size=SMALL, anchor="middle")
        else:
            y = sheet.height + most + 4
            words = ", ".join(head(library))
            turned = f"rotate(-90 {x + 3.5:.1f} {y:.1f})"
            sheet.text(x + 3.5, y, words, size=SMALL, transform=turned)
    sheet.height += 12 * lines + 4 if columns.upright else most + 8


def _clones(sheet: _Sheet, libraries: Sequence[Library], columns: Columns) -> None:
    names = {share.clone_id for one in libraries for share in one.shares}
    clones = sorted(names, key=lambda name: (len(name), name))
    returned = sorted({s.clone_id for one in libraries for s in one.shares if s.returned})
    note = "shares of malignant plasma cells" if clones else ""
    if returned:
        note += f"; came back: {', '.join(returned)}"
    sheet.title("Clones", note)
    if not clones:
        sheet.paragraph("No malignant plasma cell was called in any library of this patient.")
        return
    colours = {name: UNORDERED[i % len(UNORDERED)] for i, name in enumerate(clones)}
    _legend(sheet, colours)
    top, bottom = sheet.height + 3, sheet.height + LANE
    width = min(BAR, columns.pitch * 0.6)
    for library in libraries:
        x, y = columns.place[library.sample_id] - width / 2, bottom
        for share in sorted(library.shares, key=lambda one: clones.index(one.clone_id)):
            height = share.fraction * (bottom - top)
            y -= height
            tip = f"clone {share.clone_id}: {100 * share.fraction:.3g} % in {library.sample_id}"
            sheet.box(x, y, width, height, fill=colours[share.clone_id], tip=tip)
    _scale(sheet, {"0 %": bottom, "100 %": top})
    _below(sheet, columns, bottom, [(one, one.clone_words) for one in libraries])


def _legend(sheet: _Sheet, colours: dict[str, str]) -> None:
    """Draw each clone's colour with its name, on as many lines as they need."""
    x, y = float(LEFT), sheet.height + 10
    for name, colour in colours.items():
        room = 13 + length(name, SMALL) + 12
        if x + room > sheet.right and x > LEFT:
            x, y = float(LEFT), y + 13
        sheet.box(x, y - 8, 9, 9, fill=colour, tip=f"clone {name}")
        sheet.text(x + 13, y, name, size=SMALL)
        x += room
    sheet.height = y + 4


def _target(
    sheet: _Sheet, overview: Overview, columns: Columns, limits: tuple[float, float]
) -> None:
    lost, reduced = limits
    note = f"rate over its reference: lost under {lost:g}, retained from {reduced:g}"
    judged = any(library.target for library in overview.libraries)
    sheet.title(overview.target_name, note if judged else "")
    if not judged:
        told = {one.target_words for one in overview.libraries}
        why = "no library holds malignant plasma cells" if told <= {"no cells"} else ""
        sheet.paragraph(
            f"Not judged in any library of this patient: {why or ', '.join(sorted(told))}."
        )
        return
    top, bottom = sheet.height + 3, sheet.height + LANE
    place = _linear(math.log10(LEAST_RATIO), math.log10(MOST_RATIO), bottom, top)

    def heights(ratio: float) -> float:
        return place(math.log10(min(max(ratio, LEAST_RATIO), MOST_RATIO)))

    _scale(sheet, {f"{ratio:g}": heights(ratio) for ratio in (lost, reduced)})
    marked = [(one, one.target) for one in overview.libraries if one.target]
    for library, target in marked:
        _estimate(sheet, columns.place[library.sample_id], target, heights, TARGET, library=library)
    _below(sheet, columns, bottom, [(one, one.target_words) for one in overview.libraries])


def _car_t(sheet: _Sheet, libraries: Sequence[Library], columns: Columns) -> None:
    marked = [(library, library.car) for library in libraries if library.car]
    sheet.title("CAR-T cells", "share of T cells with 95 % interval" if marked else "")
    if not marked:
        why = "The CAR's transgene was not measured in any library of this patient"
        if any(library.car_words != NOT_MEASURED for library in libraries):
            why = "No library of this patient gives a share of CAR-T cells"
        sheet.paragraph(f"{why}.")
        return
    ends = [end for _, car in marked for end in (car.value, car.high) if not math.isnan(end)]
    most = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if step >= min(max(ends), 1))
    top, bottom = sheet.height + 3, sheet.height + LANE
    heights = _linear(0, most, bottom, top)
    _scale(sheet, {"0 %": bottom, f"{100 * most:g} %": top})
    for library, car in marked:
        _estimate(sheet, columns.place[library.sample_id], car, heights, CAR, library=library)
    _below(sheet, columns, bottom, [(one, one.car_words) for one in libraries])


def _estimate(
    sheet: _Sheet,
    x: float,
    found: Estimate,
    heights: Callable[[float], float],
    colour: str,
    *,
    library: Library,
) -> None:
    ends = [found.value if math.isnan(end) else end for end in (found.low, found.high)]
    tip = f"{library.sample_id}: {found.value:.3g} ({found.low:.3g} to {found.high:.3g})"
    low, high = (heights(end) for end in ends)
    sheet.line(x, low, x, high, colour, **{"stroke-width": "2"})
    sheet.path(_disc(x, heights(found.value), 3.5), tip, fill=colour)


def _scale(sheet: _Sheet, ticks: dict[str, float]) -> None:
    """Draw a line at each tick behind the marks, and its value where it has room."""
    written: list[float] = []
    for words, y in ticks.items():
        sheet.marks.insert(0, Markup(_rule(LEFT, y, sheet.right)))
        if any(abs(y - other) < SMALL for other in written):
            continue
        written.append(y)
        sheet.text(LEFT - 4, y + 3.5, words, size=SMALL, colour=QUIET, anchor="end")


def _rule(x1: float, y: float, x2: float) -> str:
    return f'<line x1="{x1}" y1="{y:.1f}" x2="{x2}" y2="{y:.1f}" stroke="{FAINT}"></line>'


def _below(
    sheet: _Sheet, columns: Columns, bottom: float, told: Sequence[tuple[Library, str]]
) -> None:
    """Write what each library shows below its lane; turned where columns stand close."""
    most = max(length(words, SMALL) for _, words in told)
    upright = all(length(words, SMALL) <= columns.pitch - 2 for _, words in told)
    for library, words in told:
        x = columns.place[library.sample_id]
        if upright:
            sheet.text(x, bottom + 12, words, size=SMALL, anchor="middle")
        else:
            y = bottom + 4
            turned = f"rotate(-90 {x + 3.5:.1f} {y:.1f})"
            sheet.text(x + 3.5, y, words, size=SMALL, anchor="end", transform=turned)
    sheet.height = bottom + (17 if upright else most + 8)


def _linear(low: float, high: float, bottom: float, top: float) -> Callable[[float], float]:
    return lambda value: bottom - (value - low) / (high - low) * (bottom - top)


def _disc(x: float, y: float, radius: float) -> str:
    half = f"a{radius} {radius} 0 1 0"
    return f"M{x - radius:.1f} {y:.1f}{half} {2 * radius} 0{half} -{2 * radius} 0z"


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
