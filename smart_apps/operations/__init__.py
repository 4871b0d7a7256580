"""The operators' page: how the queues, the payers and the jobs are, and what an operator decides there. No patient is on it."""
