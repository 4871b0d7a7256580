"""The privacy officer's pages: who looked at whom, what is unusual about it, what was disclosed, and how the log is."""
