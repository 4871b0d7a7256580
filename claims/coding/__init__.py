"""The coding workflow: assignment, review queue, corrections."""
