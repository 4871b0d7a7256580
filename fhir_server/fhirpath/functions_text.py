"""Functions on texts.

Spec: http://hl7.org/fhirpath/N1/#string-manipulation
"""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable
from typing import Any, Final

from fhir_server.fhirpath import patterns
from fhir_server.fhirpath.errors import Failed
from fhir_server.fhirpath.functions import Call, plain
from fhir_server.fhirpath.operators import single
from fhir_server.fhirpath.parts import plain as value_of
from fhir_server.fhirpath.run import Collection


def _text(items: Collection, at: int) -> str | None:
    value = single(items, at)
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "kind"):  # a date stands for its text
        return str(value)
    raise Failed("a text is needed here", at)


def _texts(call: Call) -> list[str] | None:
    """The input and the arguments as texts; none where one is empty."""
    found = [_text(each, call.at) for each in (call.items, *call.arguments)]
    present = [text for text in found if text is not None]
    if len(present) < len(found):
        return None
    call.run.spend(sum(map(len, present)) // 16)
    return present


def _function(name: str, arguments: int, work: Callable[..., Any]) -> None:
    """Register a function of texts that is empty where one of them is."""

    def function(call: Call) -> Collection:
        texts = _texts(call)
        if texts is None:
            return []
        found = work(*texts)
        call.run.spend(len(found) // 16 if isinstance(found, (str, list)) else 0)
        return found if isinstance(found, list) else [] if found is None else [found]

    plain(arguments, name=name)(function)


def _replaced(text: str, pattern: str, substitution: str) -> str:
    if not pattern and len(text) * len(substitution) > patterns.MAX_MADE:
        raise Failed("the text would become too long")
    return text.replace(pattern, substitution)


def _decoded(text: str, form: str) -> str | None:
    try:
        if form == "hex":
            return bytes.fromhex(text).decode()
        if form in ("base64", "urlbase64"):
            return base64.b64decode(text, altchars=b"-_" if form == "urlbase64" else None, validate=True).decode()
    except (ValueError, binascii.Error):
        return None
    return None


def _encoded(text: str, form: str) -> str | None:
    data = text.encode()
    if form == "hex":
        return data.hex()
    if form == "base64":
        return base64.b64encode(data).decode()
    return base64.urlsafe_b64encode(data).decode() if form == "urlbase64" else None


def _escaped(text: str, form: str) -> str | None:
    if form == "html":
        return html.escape(text)
    return json.dumps(text, ensure_ascii=False)[1:-1] if form == "json" else None


def _unescaped(text: str, form: str) -> str | None:
    if form == "html":
        return html.unescape(text)
    if form != "json":
        return None
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text if '"' in text and "\\" not in text else None


_SPLIT_ALL: Final = ""
_function("indexOf", 1, lambda text, part: text.find(part))
_function("lastIndexOf", 1, lambda text, part: text.rfind(part))
_function("startsWith", 1, str.startswith)
_function("endsWith", 1, str.endswith)
_function("contains", 1, lambda text, part: part in text)
_function("upper", 0, str.upper)
_function("lower", 0, str.lower)
_function("replace", 2, _replaced)
_function("matches", 1, patterns.matches)
_function("matchesFull", 1, patterns.matches_whole)
_function("replaceMatches", 2, patterns.replaced)
_function("length", 0, len)
_function("toChars", 0, list)
_function("trim", 0, str.strip)
_function("split", 1, lambda text, mark: text.split(mark) if mark != _SPLIT_ALL else list(text))
_function("encode", 1, _encoded)
_function("decode", 1, _decoded)
_function("escape", 1, _escaped)
_function("unescape", 1, _unescaped)


@plain(1, 2)
def substring(call: Call) -> Collection:
    text = _text(call.items, call.at)
    start, *length = (single(argument, call.at) for argument in call.arguments)
    if text is None or start is None:
        return []
    if not isinstance(start, int) or (length and not isinstance(length[0], (int, type(None)))):
        raise Failed("whole numbers are needed here", call.at)
    if not 0 <= start < len(text):
        return []
    if not length or length[0] is None:
        return [text[start:]]
    return [text[start : start + max(0, length[0])]]


@plain(0, 1)
def join(call: Call) -> Collection:
    mark = _text(call.arguments[0], call.at) if call.arguments else ""
    texts = [value_of(item) for item in call.items]
    if mark is None or not all(isinstance(text, str) for text in texts):
        raise Failed("texts are needed here", call.at)
    call.run.spend(sum(len(text) + len(mark) for text in texts) // 16)
    return [mark.join(texts)] if texts else []
