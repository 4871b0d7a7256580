"""Device telemetry: payloads in over HTTP, exact series in hour blocks, FHIR Observations out through the door."""
