"""The demonstration: it drives the running parts over HTTP, MLLP and files, and imports none of them."""
