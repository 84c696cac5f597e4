"""gatewayz: an AI inference gateway whose reason to exist is its cache."""

__version__ = "0.1.0"
