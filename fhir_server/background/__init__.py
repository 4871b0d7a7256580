"""Requests that are answered later: FHIR's asynchronous pattern."""
