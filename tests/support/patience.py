"""How long a test waits for what must happen. The machine may be slow and busy: it says nothing of speed."""

PATIENCE = 60.0
"""Seconds, which pass only where something never happens."""
