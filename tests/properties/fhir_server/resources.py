"""Resources of every type, made from the definitions: right in their structure, arbitrary in what they say."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fhir_server.json_tree import Number
from fhir_server.spec.definitions import Element, r4

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufffe\uffff", min_codepoint=32), min_size=1, max_size=12).filter(str.strip) | st.sampled_from(
    ["a\tb\nc\rd", '<&>"\'', "]]>", "&amp;", "😀", " x "]
)
DECIMAL = st.from_regex(r"\A-?(0|[1-9][0-9]{0,6})(\.[0-9]{1,6}|\.[0-9]{1,3}[eE][+-]?[0-9]{1,2}|[eE]-?[0-9]{1,2})\Z").map(Number) | st.integers(-(10**12), 10**12)
DIV = st.tuples(TEXT.map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "")), st.sampled_from(["", "<!-- c -->", "<b >x</b>", "<br/>", '<a href="u?a>b">&#160;</a>'])).map(
    lambda parts: f'<div xmlns="http://www.w3.org/1999/xhtml">{parts[0]}<p>{parts[1]}</p></div>'
)
MOST = 6


def _primitive(type_: str) -> st.SearchStrategy[Any]:
    if type_ == "boolean":
        return st.booleans()
    if type_ in ("integer", "positiveInt", "unsignedInt"):
        return st.integers(-(2**31), 2**31)
    return {"decimal": DECIMAL, "xhtml": DIV}.get(type_, TEXT)


@st.composite
def _members(draw: Any, node: str, depth: int) -> dict[str, Any]:
    """An object of a type, never empty."""
    made: dict[str, Any] = {}
    elements = [element for element in r4().elements(node) if depth > 0 or _is_leaf(node, element)]
    for element in draw(st.lists(st.sampled_from(elements), min_size=1, max_size=MOST, unique_by=lambda element: element.name)):
        name, type_ = draw(st.sampled_from(sorted(element.json_types().items())))
        if type_ in r4().primitive_types and not element.node:
            _put_primitive(draw, made, node, element, (name, type_), depth)
        else:
            one = resources(depth - 1) if type_ == "Resource" else _members(element.node or type_, depth - 1)
            made[name] = draw(st.lists(one, min_size=1, max_size=2)) if element.many else draw(one)
    return made


def _is_leaf(node: str, element: Element) -> bool:
    return not element.node and all(type_ in r4().primitive_types for type_ in element.json_types().values())


def _put_primitive(draw: Any, made: dict[str, Any], node: str, element: Element, named: tuple[str, str], depth: int) -> None:
    (name, type_), value = named, _primitive(named[1])
    attribute = (element.name == "id" and not r4().is_resource(node)) or (node, name) == ("Extension", "url")
    extra = _members("Element", max(depth - 1, 0))
    if attribute or type_ == "xhtml":
        made[name] = draw(value)
        return
    shapes = draw(st.lists(st.sampled_from(["value", "both", "extra"] if depth > 0 else ["value"]), min_size=1, max_size=3 if element.many else 1))
    values = [None if shape == "extra" else draw(value) for shape in shapes]
    extras = [None if shape == "value" else draw(extra) for shape in shapes]
    if any(item is not None for item in values):
        made[name] = values if element.many else values[0]
    if any(item is not None for item in extras):
        made["_" + name] = extras if element.many else extras[0]


@st.composite
def resources(draw: Any, depth: int = 3) -> dict[str, Any]:
    """A resource of any type."""
    type_ = draw(st.sampled_from(r4().resource_types))
    return {"resourceType": type_, **draw(_members(type_, max(depth, 0)))}
