"""How many retries a worker may make: a share of its requests, so that who is in trouble is not sent more for it."""

_MOST = 10.0


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
