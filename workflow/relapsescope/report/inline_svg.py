"""SVG pictures as part of a page: named for screen readers, values as native tooltips."""

from xml.etree import ElementTree

from markupsafe import Markup

SVG = "http://www.w3.org/2000/svg"
MOST_TOOLTIPS = 1500
"""Marks of a picture up to which each says its values; more would only weigh."""
SPOKEN = ("axis", "legend", "title")

ElementTree.register_namespace("", SVG)


def inline_svg(svg: str, title: str) -> Markup:
    """Return the picture as an element of a page, called `title` by screen readers.

    Vega describes every mark for assistive technology. On a page the picture is one image with
    a name, its numbers are in the download, and the descriptions serve as tooltips.
    """
    root = ElementTree.fromstring(svg)
    marks = [m for m in root.iter() if _is_mark(m)]
    described = len(marks) <= MOST_TOOLTIPS
    for element in root.iter():
        label = element.get("aria-label")
        if described and label and _is_mark(element):
            tooltip = ElementTree.Element(f"{{{SVG}}}title")
            tooltip.text = label
            element.insert(0, tooltip)
        for name in [n for n in element.attrib if n.startswith("aria-") or n == "role"]:
            del element.attrib[name]
    for name in ("version", "class"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", title)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _is_mark(element: ElementTree.Element) -> bool:
    return (
        element.get("role") == "graphics-symbol"
        and element.get("aria-roledescription") not in SPOKEN
    )
