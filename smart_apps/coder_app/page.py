"""The page of the review app: whose session it is decides what is shown.

Streamlit runs this file from top to bottom for every action.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from smart_apps.client.fhir import EhrError, SessionEndedError
from smart_apps.client.sessions import AppSession
from smart_apps.coder_app.ehr import Ehr
from smart_apps.coder_app.queue_view import show_queue
from smart_apps.coder_app.review_view import show_review
from smart_apps.coder_app.sessions import store
from smart_apps.coder_app.settings import SESSION_COOKIE

STYLE = Path(__file__).with_name("page.css")


def main() -> None:
    """Show the queue, a review, or how to get in."""
    st.set_page_config(page_title="Coding review", page_icon=":material/fact_check:", layout="wide")
    st.html(f"<style>{STYLE.read_text('utf-8')}</style>")
    session = store().find(st.context.cookies.get(SESSION_COOKIE))
    if session is None:
        _show_closed("Open this app from your EHR", "It has no sign-in of its own: the EHR says who you are.")
        return
    task = st.query_params.get("task", "") or session.opened("Task")
    try:
        _show(session, task)
    except SessionEndedError:
        _show_closed("Your session has ended", "Launch the app from the EHR again. What was submitted is safe.")
    except EhrError as error:
        st.error(str(error))
        st.button("Try again")


def _show(session: AppSession, task: str) -> None:
    ehr = Ehr(session)
    if task and task != "queue":
        show_review(ehr, session, task if task.startswith("Task/") else f"Task/{task}")
    else:
        show_queue(ehr, session)


def _show_closed(title: str, text: str) -> None:
    with st.container(key="closed"):
        st.title(title)
        st.write(text)


if __name__ == "__main__":
    main()
