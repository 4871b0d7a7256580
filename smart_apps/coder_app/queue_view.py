"""The queue: review Tasks that wait, and those already in this person's hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from smart_apps.coder_app.review import Review, task_to_review
from smart_apps.coder_app.words import age, leave, person_name, plain
from smart_apps.systems import BASE

if TYPE_CHECKING:
    from smart_apps.client.sessions import AppSession
    from smart_apps.coder_app.ehr import Ehr

PAGE_SIZE = 50


def show_queue(ehr: Ehr, session: AppSession) -> None:
    """List the open Tasks this person may see, oldest first."""
    left, right = st.columns([7, 1], vertical_alignment="center")
    left.title("Coding review queue")
    right.html(leave(session.csrf))
    tasks = ehr.search(
        "Task",
        code=f"{BASE}/CodeSystem/task|review-coding",
        status="requested,in-progress",
        _sort="_lastUpdated",
        _count=str(PAGE_SIZE),
    )
    reviews = [(task, task_to_review(task)[0]) for task in tasks]
    mine = [pair for pair in reviews if pair[1].owner == session.user]
    free = [pair for pair in reviews if not pair[1].owner]
    if not mine and not free:
        st.info("Nothing waits for review.", icon=":material/done_all:")
    if mine:
        st.subheader(f"In your hands ({len(mine)})")
        _rows(ehr, mine)
    if free:
        st.subheader(f"Waiting ({len(free)})")
        _rows(ehr, free)


def _rows(ehr: Ehr, reviews: list[tuple[dict[str, Any], Review]]) -> None:
    for task, review in reviews:
        with st.container(border=True, key=f"row-{review.id}"):
            who, what, since, action = st.columns([3, 3, 2, 1.3], vertical_alignment="center")
            patient = ehr.read(review.patient) if review.patient else None
            who.markdown(f"**{plain(person_name(patient))}**")
            waiting = sum(1 for s in review.suggestions if s.needs_review)
            what.markdown(f"{waiting} to review · {len(review.suggestions) - waiting} on the claim already")
            since.markdown(age(task.get("authoredOn", "")))
            if action.button("Open", key=f"open-{review.id}", type="primary", width="stretch"):
                st.query_params["task"] = review.id
                st.rerun()
