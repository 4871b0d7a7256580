"""SMART authorization server and SMART apps."""
