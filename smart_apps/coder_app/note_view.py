"""The note beside the codes: evidence is highlighted, a click finds its code, a selection becomes evidence.

The browser builds every piece as text, so nothing in a note can become markup.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from smart_apps.coder_app.note import Segment

_HERE = Path(__file__).parent


def mount() -> Callable[..., Any]:
    """Register the component; Streamlit wants that once per run of the page."""
    component: Callable[..., Any] = st.components.v2.component(
        "chartloop_note",
        html="<div class='chartloop-note' tabindex='0'></div>",
        css=(_HERE / "note_view.css").read_text("utf-8"),
        js=(_HERE / "note_view.js").read_text("utf-8"),
        isolate_styles=False,  # a selection cannot be read across a shadow root in every browser
    )
    return component


def show_note(component: Callable[..., Any], cut: list[Segment], *, current: str, states: dict[str, str], key: str) -> Any:
    """Show a note.

    Args:
        component: What `mount` gave.
        cut: The note, cut at every border of evidence.
        current: Id of the suggestion at hand; its evidence is brought into view.
        states: How each suggestion stands: open, accepted, replaced, rejected, auto, added.
        key: Widget key.

    Returns:
        A result with `picked` (id of a clicked suggestion) and `selection` (start and end of selected text).
    """
    return component(
        data={
            "segments": [{"text": s.text, "ids": list(s.ids)} for s in cut],
            "current": current,
            "states": states,
        },
        key=key,
        on_picked_change=lambda: None,
        on_selection_change=lambda: None,
    )
