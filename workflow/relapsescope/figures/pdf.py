"""A numbered figure as PDF: its pages in one file, with the same bytes each time.

The renderer makes a page of an SVG, but numbers its objects and lists its resources in another
order from call to call, and repeats equal objects. Here resources are sorted by name, and the
objects that a page reaches are written in the order in which it names them, equal ones once.
Neither the renderer nor this module writes a date.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

import vl_convert

from relapsescope.figures.theme import use_own_fonts

SVG = "{http://www.w3.org/2000/svg}"
POINTS_A_PIXEL = 72 / 96
"""The renderer takes a pixel for a point: a picture is shrunk by as much before."""
REFERENCE = re.compile(rb"\b(\d+) 0 R\b")
NUMBERED_RESOURCES = re.compile(rb"(?:^ +/\w+ \d+ 0 R\n)+", re.MULTILINE)
# Attributes of a group that change nothing in print.
SILENT = re.compile(r"class|role|pointer-events|aria-.*")
MOVE = re.compile(r"translate\(([-0-9.e]+),([-0-9.e]+)\)")


def to_pdf(pages: Sequence[str]) -> bytes:
    """Return one PDF with a page an SVG, each as large as the SVG says."""
    use_own_fonts()
    return joined([vl_convert.svg_to_pdf(for_print(svg)) for svg in pages])


def for_print(svg: str) -> str:
    """Return `svg` with fewer groups and without what print does not show.

    The renderer refuses groups within groups beyond a depth that charts beside charts reach, and
    draws each element of some opacity as a picture of its own: a mark's opacity is therefore
    written as that of its fill and stroke, which is the same where only one of them is drawn.
    """
    root = ElementTree.fromstring(svg)
    for side in ("width", "height"):
        root.set(side, f"{float(root.get(side).removesuffix('mm')) * POINTS_A_PIXEL:g}mm")
    root[:] = [kept for child in root for kept in _flat(child, 0.0, 0.0)]
    ElementTree.register_namespace("", SVG.strip("{}"))
    return ElementTree.tostring(root, encoding="unicode")


def _flat(element: ElementTree.Element, right: float, down: float) -> list[ElementTree.Element]:
    """Return what is drawn of an element that stands so far right and down of its parent."""
    if element.get("display") == "none":
        return []
    if element.tag == f"{SVG}svg":
        element[:] = [kept for child in element for kept in _flat(child, 0.0, 0.0)]
        return [element]
    move = MOVE.fullmatch(element.get("transform", "translate(0,0)"))
    others = [name for name in element.attrib if not SILENT.fullmatch(name)]
    if element.tag == f"{SVG}g" and move and set(others) <= {"transform"}:
        right, down = right + float(move[1]), down + float(move[2])
        return [kept for child in element for kept in _flat(child, right, down)]
    if (right or down) and element.tag != f"{SVG}defs":
        own = f" {element.get('transform', '')}".rstrip()
        element.set("transform", f"translate({right:g},{down:g}){own}")
    element[:] = [kept for child in element for kept in _flat(child, 0.0, 0.0)]
    if len(element) == 0 and (opacity := element.attrib.pop("opacity", "1")) != "1":
        element.set("fill-opacity", opacity)
        element.set("stroke-opacity", opacity)
    return [element]


def joined(files: Sequence[bytes]) -> bytes:
    """Return one PDF with the pages of several that the renderer wrote, in canonical order."""
    written: list[bytes] = []  # of object 4 on: 1 is the catalogue, 2 the pages, 3 the producer
    places: dict[bytes, int] = {}
    kids = []
    for content in files:
        objects = _objects(content)
        page = next(body for body in objects.values() if b"/Type /Page\n" in body)
        page = re.sub(rb"/Parent \d+ 0 R", b"/Parent @", page)
        kids.append(_written(page, objects, {}, written, places))
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(kids), b" ".join(b"%d 0 R" % kid for kid in kids)),
        b"<< /Producer (svg2pdf) >>",
        *(body.replace(b"/Parent @", b"/Parent 2 0 R") for body in written),
    ]
    parts = [b"%PDF-1.7\n%\x80\x80\x80\x80\n"]
    offsets, at = [], len(parts[0])
    for number, body in enumerate(bodies, start=1):
        offsets.append(at)
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        at += len(parts[-1])
    table = b"".join(b"%010d 00000 n\r\n" % offset for offset in offsets)
    parts.append(
        b"xref\n0 %d\n0000000000 65535 f\r\n%strailer\n<< /Size %d /Root 1 0 R /Info 3 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, table, len(bodies) + 1, at)
    )
    return b"".join(parts)


def _written(
    body: bytes,
    objects: dict[int, bytes],
    numbers: dict[int, int],
    written: list[bytes],
    places: dict[bytes, int],
) -> int:
    """Write an object and what it refers to, unless an equal one is there; return its number."""
    head, stream, data = body.partition(b"stream\n")

    def renumbered(match: re.Match[bytes]) -> bytes:
        old = int(match[1])
        if old not in numbers:
            numbers[old] = _written(objects[old], objects, numbers, written, places)
        return b"%d 0 R" % numbers[old]

    head = NUMBERED_RESOURCES.sub(lambda lines: b"".join(sorted(lines[0].splitlines(True))), head)
    body = REFERENCE.sub(renumbered, head) + stream + data
    if body not in places:
        written.append(body)
        places[body] = len(written) + 3
    return places[body]


def _objects(content: bytes) -> dict[int, bytes]:
    """Return the objects of a PDF that the renderer wrote, by number."""
    found, at = {}, 0
    begin = re.compile(rb"(\d+) 0 obj\n")
    while (match := begin.search(content, at)) is not None:
        end = content.index(b"endobj", match.end())
        stream = content.find(b"stream\n", match.end(), end)
        if stream >= 0:
            length = re.search(rb"/Length (\d+)\b", content[match.end() : stream])
            end = content.index(b"endobj", stream + 7 + int(length[1]))
        found[int(match[1])] = content[match.end() : end].rstrip(b"\n")
        at = end
    return found
