"""Access: subjects, scopes, policies, labels, redaction, tokens."""
