"""After the decisions: what became of the claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from smart_apps.coder_app.words import plain

if TYPE_CHECKING:
    from smart_apps.coder_app.ehr import Ehr
    from smart_apps.coder_app.sitting import Sitting

REFRESH_S = 2.0
STATUS = {
    "draft": "Draft: it waits for the codes of this encounter",
    "active": "Released to the payer",
    "cancelled": "Cancelled",
}


def show_outcome(ehr: Ehr, sitting: Sitting) -> None:
    """Confirm the review and follow the claim on its way."""
    st.success("Your decisions were submitted.", icon=":material/task_alt:")
    counts: dict[str, int] = {}
    for decision in sitting.decisions.all(sitting.review):
        counts[decision.kind] = counts.get(decision.kind, 0) + 1
    words = {"accept": "Accepted", "replace": "Replaced", "reject": "Rejected", "add": "Added"}
    for column, (kind, word) in zip(st.columns(4), words.items(), strict=True):
        column.metric(word, counts.get(kind, 0), border=True)
    st.fragment(_follow, run_every=REFRESH_S)(ehr, sitting)
    if st.button("Next task", type="primary", icon=":material/arrow_forward:"):
        st.query_params["task"] = "queue"
        st.rerun()


def _follow(ehr: Ehr, sitting: Sitting) -> None:
    """Look again, until the page is left: the review may come back, and the claim goes on."""
    task = ehr.read(f"Task/{sitting.review.id}")
    if task is not None and task.get("status") != "completed":
        sitting.take(task)
        st.rerun()
    if sitting.review.claim:
        _claim(ehr, sitting.review.claim)


def _claim(ehr: Ehr, reference: str) -> None:
    claim = ehr.read(reference)
    if claim is None:
        st.caption("The claim is not visible to you.")
        return
    st.subheader("Claim")
    st.markdown(f"**{plain(STATUS.get(claim.get('status', ''), claim.get('status', '')))}**")
    diagnoses = [_diagnosis(entry) for entry in claim.get("diagnosis", ())]
    if diagnoses:
        st.table(diagnoses)
    for answer in ehr.search("ClaimResponse", request=reference):
        st.markdown(f"Payer: **{plain(answer.get('outcome', ''))}** {plain(answer.get('disposition', ''))}")


def _diagnosis(entry: dict[str, Any]) -> dict[str, str]:
    coding: dict[str, str] = next(iter(entry.get("diagnosisCodeableConcept", {}).get("coding", ())), {})
    return {
        "#": str(entry.get("sequence", "")),
        "Code": coding.get("code", ""),
        "Diagnosis": coding.get("display", ""),
    }
