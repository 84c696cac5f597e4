"""How many retries a worker may make: a share of its requests, so that who is in trouble is not sent more for it."""

_MOST = 10.0
_MOST_NAMES = 10_000


class RetryBudget:
    """Each request earns `share` of a retry, up to ten in all."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = _MOST if share else 0.0

    def earn(self) -> None:
        self._left = min(_MOST, self._left + self._share)

    def spend(self) -> bool:
        """False where there is none left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class RetryBudgets:
    """A budget for each name, so that the requests of one spend nothing of another's."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._budgets: dict[str, RetryBudget] = {}

    def of(self, name: str) -> RetryBudget:
        budget = self._budgets.get(name)
        if budget is None:
            if len(self._budgets) >= _MOST_NAMES:
                self._budgets.clear()
            budget = self._budgets[name] = RetryBudget(self._share)
        return budget
