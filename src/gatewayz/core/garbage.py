"""How often Python looks for garbage that counting references does not find."""

import gc

YOUNG = 20_000
"""New objects between two looks. Python's 700 are some thirty requests, and each look finds most of them in use."""


def collect_rarely() -> None:
    """Never look again at what is there now, and rarely at the rest. For a process that has started and is to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
