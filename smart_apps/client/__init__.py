"""The client's side of SMART, shared by the apps of this product: launch, sessions, reading."""
