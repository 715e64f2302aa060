"""SVG pictures as part of a page: named for screen readers, values as native tooltips, light."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

SVG = "http://www.w3.org/2000/svg"
MOST_TOOLTIPS = 1500
"""Marks of a picture up to which each says its values; more would only weigh."""
SPOKEN = ("axis", "legend", "title")
DEFAULTS = {
    "opacity": "1",
    "fill-opacity": "1",
    "font-weight": "normal",
    "text-anchor": "start",
    "transform": "translate(0,0)",
    "pointer-events": "none",
}
"""Attributes that say what holds without them; nothing on a page listens to a picture's marks."""
INHERITED = ("font-family", "font-size")
"""Attributes of text that the picture's root gives to all that have its own most frequent value."""
PLACES = ("transform", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "rx", "d")
UNSEEN = (f"{{{SVG}}}defs", f"{{{SVG}}}clipPath")
"""What these hold is used elsewhere, although it has no colour of its own."""
LONG_NUMBER = re.compile(r"(\d\.\d)\d+(?![\d.]*e)")

ElementTree.register_namespace("", SVG)


def inline_svg(svg: str, title: str) -> Markup:
    """Return the picture as an element of a page, called `title` by screen readers.

    Vega describes every mark for assistive technology. On a page the picture is one image with
    a name, its numbers are in the download, and the descriptions serve as tooltips. What changes
    nothing that is seen is left out: half of what Vega writes.
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
    root.attrib.pop("version", None)
    lighten(root)
    root.set("role", "img")
    root.set("aria-label", title)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def lighten(root: ElementTree.Element) -> None:
    """Take out of a picture what draws nothing, in place; places keep a tenth of a unit."""
    for name in INHERITED:
        _give_to_root(root, name)
    for element in root.iter():
        element.attrib.pop("class", None)
        for name, value in DEFAULTS.items():
            if element.get(name) == value:
                del element.attrib[name]
        if "stroke" not in element.attrib and element.tag == f"{{{SVG}}}path":
            element.attrib.pop("stroke-width", None)
        for name in PLACES:
            if name in element.attrib:
                element.set(name, LONG_NUMBER.sub(r"\1", element.get(name, "")))
    _without_nothing(root)


def _give_to_root(root: ElementTree.Element, name: str) -> None:
    """Move the most frequent value of an inherited attribute to the root."""
    own = [element for element in root.iter(f"{{{SVG}}}text") if name in element.attrib]
    values = [element.get(name, "") for element in own]
    if not values or name in root.attrib:
        return
    most = max(dict.fromkeys(values), key=values.count)
    bare = [one for one in root.iter(f"{{{SVG}}}text") if name not in one.attrib]
    if bare:  # they would inherit what they do not have now
        return
    root.set(name, most)
    for element in own:
        if element.get(name) == most:
            del element.attrib[name]


def _without_nothing(parent: ElementTree.Element) -> None:
    """Remove elements that draw nothing, and put the content of bare groups in their place."""
    if parent.tag in UNSEEN:
        return
    kept: list[ElementTree.Element] = []
    for child in parent:
        _without_nothing(child)
        if _draws_nothing(child):
            continue
        bare = child.tag == f"{{{SVG}}}g" and not child.attrib
        kept += list(child) if bare else [child]
    parent[:] = kept


def _draws_nothing(element: ElementTree.Element) -> bool:
    if element.get("display") == "none":
        return True
    if element.tag == f"{{{SVG}}}g":
        return len(element) == 0
    # Without a fill of their own paths take the root's group's, which is none.
    plain = element.tag == f"{{{SVG}}}path" and len(element) == 0
    return plain and not {"fill", "stroke", "style", "id"} & set(element.attrib)


def _is_mark(element: ElementTree.Element) -> bool:
    return (
        element.get("role") == "graphics-symbol"
        and element.get("aria-roledescription") not in SPOKEN
    )
