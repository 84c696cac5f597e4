"""Measurements of gatewayz beside others, on one machine in one run. README.md says how to run and read them."""
