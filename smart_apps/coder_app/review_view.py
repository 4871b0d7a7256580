"""One review: the note with its evidence on the left, the codes on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from smart_apps.coder_app.cards import show_added, show_cards
from smart_apps.coder_app.note import Span, note_text, note_title, segments
from smart_apps.coder_app.note_view import mount, show_note
from smart_apps.coder_app.outcome_view import show_outcome
from smart_apps.coder_app.sitting import Sitting, give_back, open_sitting, refresh, submit
from smart_apps.coder_app.words import leave, person_name, plain

if TYPE_CHECKING:
    from smart_apps.client.sessions import AppSession
    from smart_apps.coder_app.ehr import Ehr

STATES = {"accept": "accepted", "replace": "replaced", "reject": "rejected"}


def show_review(ehr: Ehr, session: AppSession, reference: str) -> None:
    """Show the Task, or what became of it."""
    sitting = session.sittings.get(reference)
    if sitting is None:
        sitting = open_sitting(ehr, reference, session.user)
        if sitting is None:
            _header(session, None)
            st.warning("There is no such task for you.", icon=":material/lock:")
            return
        session.sittings[reference] = sitting
    _header(session, sitting)
    if sitting.review.status == "completed":
        show_outcome(ehr, sitting)
    else:
        _work(ehr, session, sitting)


def _header(session: AppSession, sitting: Sitting | None) -> None:
    left, queue, out = st.columns([6, 1, 1], vertical_alignment="bottom")
    with left:
        st.title("Coding review")
        if sitting is not None and sitting.review.patient:
            patient = sitting.patient
            born = (patient or {}).get("birthDate", "")
            st.markdown(f"**{plain(person_name(patient))}** · born {plain(born)}" if born else plain(person_name(patient)))
    if queue.button("Queue", icon=":material/list:", width="stretch"):
        st.query_params["task"] = "queue"
        st.rerun()
    out.html(leave(session.csrf))


def _work(ehr: Ehr, session: AppSession, sitting: Sitting) -> None:
    mine = sitting.mine(session.user)
    with st.container(key="banners"):  # always there, so that nothing below it moves
        _banners(ehr, sitting, mine=mine)
    left, right = st.columns([11, 9], gap="medium")
    with left:
        _note(sitting)
    with right:
        show_cards(ehr, sitting, enabled=mine)
        show_added(ehr, sitting, enabled=mine)
        _finish(ehr, session, sitting, enabled=mine)


def _banners(ehr: Ehr, sitting: Sitting, *, mine: bool) -> None:
    if sitting.changed:
        with st.container(horizontal=True, key="changed"):
            st.warning("Somebody else changed this task. Nothing of yours was written.", icon=":material/sync_problem:")
            if st.button("Load it as it is now", type="primary"):
                refresh(ehr, sitting)
                st.rerun()
    elif not mine:
        st.info("Somebody else works on this task, or it is closed. You can read it.", icon=":material/visibility:")
    if sitting.review.returned and sitting.review.is_open:
        st.warning(f"This review came back: {plain(sitting.review.returned)}", icon=":material/undo:")
    for problem in sitting.problems:
        st.caption(f"{plain(problem.expression)}: {plain(problem.text)}")


def _note(sitting: Sitting) -> None:
    notes = list(sitting.review.notes)
    titles = {note: note_title(sitting.documents.get(note) or {}) for note in notes}
    if len(notes) > 1:
        sitting.note = st.segmented_control(
            "Notes", notes, default=sitting.note, format_func=lambda n: titles[n], label_visibility="collapsed"
        ) or sitting.note  # fmt: skip
    elif notes:
        st.markdown(f"**{plain(titles[notes[0]])}**")
    document = sitting.documents.get(sitting.note)
    text = note_text(document) if document else None
    if text is None:
        st.warning("This note cannot be shown to you.", icon=":material/visibility_off:")
        return
    here = [s for s in sitting.review.suggestions if s.note == sitting.note]
    spans = [Span(s.id, s.start, s.end) for s in here]
    result = show_note(
        mount(),
        segments(text, spans),
        current=sitting.current,
        states=_states(sitting),
        key=f"note-{sitting.note}",
    )
    if result.picked and result.picked != sitting.current:
        sitting.current, sitting.mode = str(result.picked), ""
    if result.selection:
        sitting.selection = (int(result.selection["start"]), int(result.selection["end"]))


def _states(sitting: Sitting) -> dict[str, str]:
    decided = sitting.decisions.by_suggestion
    return {s.id: STATES[decided[s.id].kind] if s.id in decided else ("open" if s.needs_review else "auto") for s in sitting.review.suggestions}


def _finish(ehr: Ehr, session: AppSession, sitting: Sitting, *, enabled: bool) -> None:
    decisions = sitting.decisions
    waiting = len(decisions.undecided(sitting.review))
    decisions.chart_complete = st.checkbox(
        "Chart complete: I read the whole chart and no code is missing", value=decisions.chart_complete, disabled=not enabled
    )
    if waiting:
        what = "1 suggestion has" if waiting == 1 else f"{waiting} suggestions have"
        st.caption(f"{what} no decision yet. Without one it stays off the claim and out of training.")
    with st.container(horizontal=True):
        if st.button("Submit decisions", type="primary", disabled=not enabled, shortcut="Mod+Enter"):
            submit(ehr, sitting, session.user)
            st.rerun()
        if st.button("Give back to the queue", disabled=not enabled) and give_back(ehr, sitting):
            session.sittings.pop(f"Task/{sitting.review.id}", None)
            st.query_params["task"] = "queue"
            st.rerun()
