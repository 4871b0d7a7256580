"""The audit log: durable before an answer leaves, sealed under signed tree heads, checked by anyone."""
