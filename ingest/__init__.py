"""Messages from outside: HL7 v2 over MLLP, device telemetry."""
