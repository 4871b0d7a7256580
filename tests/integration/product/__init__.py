"""The whole product from outside: real processes, HTTP and MLLP, and what goes wrong between them."""
