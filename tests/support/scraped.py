"""What `/metrics` says."""

import re

from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """`samples`: by name and labels, as they stand in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        self.samples = {series: float(value) for series, _, value in lines}

    def __getitem__(self, series: str) -> float:
        return self.samples[series]

    def sum(self, name: str, **labels: str) -> float:
        """Over all series with this name and these labels."""
        wanted = labels.items()
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name and wanted <= sample.labels.items()
        )

    def labels(self) -> dict[str, set[str]]:
        """All values of each label."""
        found: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                for label, value in sample.labels.items():
                    found.setdefault(label, set()).add(value)
        return found

    @property
    def growing(self) -> list[str]:
        """Series that never become less."""
        return [series for series in self.samples if re.match(r"\w+_(total|bucket|sum|count)\b", series)]
