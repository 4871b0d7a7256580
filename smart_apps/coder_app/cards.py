"""The code cards: what the model suggests, how sure it is and why a person must look; accept, replace, reject, add."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from smart_apps.coder_app.note import note_text
from smart_apps.coder_app.review import Decision, Suggestion
from smart_apps.coder_app.words import REJECTIONS, plain, reason_words

if TYPE_CHECKING:
    from smart_apps.coder_app.ehr import Ehr
    from smart_apps.coder_app.sitting import Sitting

_SHAPE = re.compile(r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?")
_DECIDED = {"accept": "Accepted", "replace": "Replaced by {code}", "reject": "Rejected"}
MIN_QUERY = 2


def show_cards(ehr: Ehr, sitting: Sitting, *, enabled: bool) -> None:
    """Show every suggestion; the one at hand is open."""
    decided = len(sitting.decisions.by_suggestion)
    st.markdown(f"**Suggested codes** · {decided} of {len(sitting.review.suggestions)} decided")
    with st.container(key="cards", gap="xsmall"):
        for suggestion in sitting.ordered():
            if suggestion.id == sitting.current:
                _open_card(ehr, sitting, suggestion, enabled=enabled)
            else:
                _closed_card(sitting, suggestion)


def _state(sitting: Sitting, suggestion: Suggestion) -> tuple[str, str]:
    decision = sitting.decisions.by_suggestion.get(suggestion.id)
    if decision is not None:
        return decision.kind, _DECIDED[decision.kind].format(code=decision.code)
    return ("open", "To review") if suggestion.needs_review else ("auto", "On the claim already")


def _closed_card(sitting: Sitting, suggestion: Suggestion) -> None:
    state, words = _state(sitting, suggestion)
    with st.container(key=f"card-{state}-{_safe(suggestion.id)}"):
        label = f"**{plain(suggestion.code)}** {plain(suggestion.display)} · {suggestion.confidence:.0%} · *{plain(words)}*"
        if st.button(label, key=f"pick-{suggestion.id}", width="stretch", wrap=True):
            sitting.current, sitting.mode = suggestion.id, ""
            st.rerun()


def _safe(identifier: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "-", identifier)


def _open_card(ehr: Ehr, sitting: Sitting, suggestion: Suggestion, *, enabled: bool) -> None:
    state, words = _state(sitting, suggestion)
    with st.container(border=True, key=f"current-{state}"):
        st.html(_card_html(suggestion, state, words))
        _buttons(sitting, suggestion, enabled=enabled)
        if enabled and sitting.mode == "reject":
            _reject(sitting, suggestion)
        if enabled and sitting.mode == "replace":
            _replace(ehr, sitting, suggestion)


def _card_html(suggestion: Suggestion, state: str, words: str) -> str:
    percent = max(0.0, min(1.0, suggestion.confidence)) * 100
    reasons = f"<p class=why>Needs review: {escape(reason_words(suggestion.reasons))}</p>" if suggestion.reasons else ""
    return (
        f"<div class=code><span class=badge>{escape(suggestion.code)}</span>"
        f"<span class=display>{escape(suggestion.display)}</span><span class='chip {state}'>{escape(words)}</span></div>"
        f"<div class=confidence><div class=bar><i style='width:{percent:.0f}%'></i></div>"
        f"<b>{percent:.0f} %</b> confidence</div>{reasons}"
        f"<p class=model>{escape(suggestion.model)}</p>"
    )


def _buttons(sitting: Sitting, suggestion: Suggestion, *, enabled: bool) -> None:
    with st.container(horizontal=True, gap="xsmall", key="actions"):
        if st.button("Accept", type="primary", shortcut="A", disabled=not enabled, icon=":material/check:"):
            sitting.decisions.decide(_decision("accept", suggestion))
            sitting.advance_to_open()
            st.rerun()
        if st.button("Replace", shortcut="E", disabled=not enabled, icon=":material/swap_horiz:"):
            sitting.mode = "replace"
        if st.button("Reject", shortcut="X", disabled=not enabled, icon=":material/close:"):
            sitting.mode = "reject"
        if suggestion.id in sitting.decisions.by_suggestion and st.button("Undo", shortcut="U", disabled=not enabled):
            sitting.decisions.undo(suggestion.id)
            st.rerun()
        if st.button("Next", shortcut="N"):
            sitting.advance()
            st.rerun()


def _decision(kind: str, suggestion: Suggestion, *, code: str = "", display: str = "", reason: str = "") -> Decision:
    return Decision(
        kind=kind,  # type: ignore[arg-type]
        code=code or suggestion.code,
        display=display or suggestion.display,
        suggestion=suggestion.id,
        reason=reason,
    )


def _reject(sitting: Sitting, suggestion: Suggestion) -> None:
    chosen = st.pills("Why is it wrong?", list(REJECTIONS), format_func=REJECTIONS.__getitem__, key=f"why-{suggestion.id}")
    if chosen:
        sitting.decisions.decide(_decision("reject", suggestion, reason=chosen))
        sitting.advance_to_open()
        st.rerun()


def _replace(ehr: Ehr, sitting: Sitting, suggestion: Suggestion) -> None:
    found = _code_input(ehr, f"replace-{suggestion.id}", "Right code (number or words)")
    if found and st.button(f"Use {found[0]} instead", type="primary"):
        sitting.decisions.decide(_decision("replace", suggestion, code=found[0], display=found[1]))
        sitting.advance_to_open()
        st.rerun()


def _code_input(ehr: Ehr, key: str, label: str) -> tuple[str, str] | None:
    """Ask for a code: by search where the EHR offers one, else by its number, checked for its shape."""
    typed = st.text_input(label, key=f"{key}-text").strip()
    if len(typed) < MIN_QUERY:
        return None
    offered = ehr.find_codes(typed)
    if offered is None:
        if _SHAPE.fullmatch(typed.upper()):
            return typed.upper(), ""
        st.caption("A code looks like E11.9: a letter, two characters, a dot, up to four more.")
        return None
    if not offered:
        st.caption("No billable code matches.")
        return None
    certain = len(offered) == 1 or offered[0][0] == typed.upper()  # among several, a person chooses
    chosen: tuple[str, str] | None = st.selectbox(
        "Matching codes",
        offered,
        index=0 if certain else None,
        placeholder=f"{len(offered)} codes match: choose one",
        format_func=lambda c: f"{c[0]}  {c[1]}",
        key=f"{key}-found-{typed}",
        label_visibility="collapsed",
    )
    return chosen


def show_added(ehr: Ehr, sitting: Sitting, *, enabled: bool) -> None:
    """Show the codes that the model missed, and take another one."""
    for index, added in enumerate(sitting.decisions.added):
        with st.container(horizontal=True, key=f"added-{index}", vertical_alignment="center"):
            st.markdown(f"**{plain(added.code)}** {plain(added.display)} · *added by you*")
            if st.button("Remove", key=f"remove-{index}"):
                sitting.decisions.added.remove(added)
                st.rerun()
    if not enabled:
        return
    with st.expander("Add a missed code", icon=":material/add:", expanded=sitting.selection is not None):
        _evidence(sitting)
        found = _code_input(ehr, "add", "Code (number or words)")
        if found and st.button(f"Add {found[0]}", type="primary"):
            start, end = sitting.selection or (None, None)
            note = sitting.note if sitting.selection else ""
            sitting.decisions.decide(Decision("add", found[0], found[1], note=note, start=start, end=end))
            sitting.selection = None
            st.rerun()


def _evidence(sitting: Sitting) -> None:
    text = note_text(sitting.documents.get(sitting.note) or {})
    if sitting.selection is None or text is None:
        st.caption("Select its evidence in the note first, if the note has it.")
        return
    start, end = sitting.selection
    st.markdown(f"Evidence: “{plain(text[start:end][:200])}”")
