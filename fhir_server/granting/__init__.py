"""Grants that follow from stored resources: who treats whom, who codes what, what a patient consented to."""
