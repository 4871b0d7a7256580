"""The answer of a CDS service, read with suspicion: cards that keep to the rules, and a sentence for each one that does not. Pure.

Spec: https://cds-hooks.hl7.org/2.0/#cds-service-response
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from smart_apps.clinical import Resource, listed, mapping, text

INDICATORS = ("info", "warning", "critical")
MAX_CARDS = 10
MAX_SUMMARY = 139
MAX_LABEL = 200
MAX_DETAIL = 8_000
MAX_LINKS = 5
MAX_REASONS = 12
MAX_APP_CONTEXT = 2_000
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Link:
    """Where a card leads; a smart link has the client that it launches."""

    label: str
    url: str
    client: str = ""
    app_context: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody may set a card aside."""

    code: str
    system: str
    display: str


@dataclass(frozen=True, slots=True)
class Card:
    """One card that keeps to the rules. Everything in it is text of the service; `detail` is Markdown."""

    uuid: str
    summary: str
    detail: str
    indicator: str
    source: str
    source_url: str
    links: tuple[Link, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one answer: cards, and what was left out."""

    cards: tuple[Card, ...] = ()
    problems: tuple[str, ...] = ()


class NotACardError(Exception):
    """A card breaks a rule that it cannot be shown without."""


def answer_to_cards(answer: Any, launch_urls: dict[str, str]) -> Reading:
    """Read the body of an answer.

    Args:
        answer: Parsed JSON.
        launch_urls: Client id by launch URL: the apps that a smart link may start.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("cards"), list):
        return Reading(problems=("The answer holds no list of cards.",))
    cards: list[Card] = []
    problems: list[str] = []
    for number, entry in enumerate(answer["cards"][:MAX_CARDS], start=1):
        try:
            cards.append(_card(entry, launch_urls, problems, number))
        except NotACardError as error:
            problems.append(f"Card {number} is not shown: {error}")
    if len(answer["cards"]) > MAX_CARDS:
        problems.append(f"Only the first {MAX_CARDS} of {len(answer['cards'])} cards are shown.")
    seen = [card.uuid for card in cards if card.uuid]
    if len(seen) != len(set(seen)):
        problems.append("Several cards have the same uuid.")
    return Reading(tuple(cards), tuple(problems))


def _card(entry: Any, launch_urls: dict[str, str], problems: list[str], number: int) -> Card:
    if not isinstance(entry, dict):
        message = "it is no object."
        raise NotACardError(message)
    source = mapping(entry.get("source"))
    uuid = text(entry.get("uuid"))
    links = [found for found in (_link(link, launch_urls, problems, number) for link in listed(entry.get("links"))[:MAX_LINKS]) if found]
    return Card(
        uuid=uuid if _UUID.fullmatch(uuid) else "",
        summary=_required(entry, "summary", MAX_SUMMARY),
        detail=text(entry.get("detail"), MAX_DETAIL),
        indicator=_indicator(entry.get("indicator")),
        source=_required(source, "label", MAX_LABEL, "source.label"),
        source_url=web_url(source.get("url")),
        links=tuple(links),
        reasons=tuple(_reasons(listed(entry.get("overrideReasons")))),
    )


def _required(holder: Resource, name: str, most: int, called: str = "") -> str:
    said = holder.get(name)
    if not isinstance(said, str) or not said.strip():
        message = f"it has no {called or name}."
        raise NotACardError(message)
    if len(said) > most:
        message = f"its {called or name} is longer than {most} characters."
        raise NotACardError(message)
    return text(said, most)


def _indicator(value: Any) -> str:
    if value not in INDICATORS:
        message = f"its indicator is none of {', '.join(INDICATORS)}."
        raise NotACardError(message)
    return str(value)


def _link(link: Resource, launch_urls: dict[str, str], problems: list[str], number: int) -> Link | None:
    label, kind, url = text(link.get("label"), MAX_LABEL), link.get("type"), web_url(link.get("url"))
    context = link.get("appContext", "")
    if not label or not url or kind not in ("absolute", "smart"):
        problems.append(f"A link of card {number} is left out: it needs a label, an http(s) URL and the type absolute or smart.")
    elif kind == "absolute":
        return Link(label, url)
    elif url not in launch_urls:
        problems.append(f"A link of card {number} is left out: no app is registered for its URL.")
    elif not isinstance(context, str) or len(context) > MAX_APP_CONTEXT:
        problems.append(f"A link of card {number} is left out: its appContext is no text, or a very long one.")
    else:
        return Link(label, url, launch_urls[url], context)
    return None


def _reasons(reasons: Iterable[Resource]) -> Iterable[Reason]:
    found = [Reason(text(r.get("code"), MAX_LABEL), text(r.get("system"), MAX_LABEL), text(r.get("display"), MAX_LABEL)) for r in reasons]
    return [reason for reason in found if reason.code and reason.display][:MAX_REASONS]


def web_url(value: Any) -> str:
    """Give an absolute http(s) URL without credentials; empty for anything else."""
    said = text(value, 2_000)
    if said != value or any(character.isspace() for character in said):
        return ""
    try:
        parts = urlsplit(said)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        return ""
    return said if usable else ""
