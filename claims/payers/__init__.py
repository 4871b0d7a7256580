"""The way to a payer and back: lanes, sending, mailboxes, answers."""
