"""Incidents: from a first signal to a closed review."""
