"""A run in numbers."""

from tests.chaos.checker import Verdict

MOST_SHOWN = 40


def table(verdict: Verdict, seed: int, seconds: float) -> str:
    rows = {"seed": seed, "seconds": round(seconds), **verdict.counts, "VIOLATIONS": len(verdict.violations)}
    lines = [f"| {name} | {count:,} |" for name, count in rows.items()]
    return "\n".join(["| | |", "|---|---:|", *lines, "", *verdict.violations[:MOST_SHOWN]])
