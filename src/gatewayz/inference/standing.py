"""How providers have fared of late: apart for the gateway's own accounts there and for each key of a caller's own, so
that neither a bad key of one account nor its quota is held against anybody else.
"""

from msgspec import Struct

from gatewayz.accounts.provider_keys import OwnKey
from gatewayz.catalog.model import Offer
from gatewayz.health.breakers import Breakers
from gatewayz.health.fleet import FleetHealth
from gatewayz.health.scores import Scores


class Way(Struct, frozen=True):
    """One offer, and with whose key it is asked for: `own`, or without one the gateway's."""

    offer: Offer
    own: OwnKey | None = None

    @property
    def account(self) -> str:
        """By which it is known how the account there fares."""
        return self.own.id if self.own is not None else self.offer.provider

    @property
    def name(self) -> str:
        """By which it is known how the offer fares, asked for by this account."""
        return f"{self.account}/{self.offer.native_id}"


class Standing(Struct, frozen=True):
    """`breakers` say who is left alone, by account and by name; `scores` who is fast, by name; `health` how all workers
    find them, None where that is nobody's but a caller's.
    """

    breakers: Breakers
    scores: Scores
    health: FleetHealth | None = None


class Standings(Struct, frozen=True):
    """`shared`: with the gateway's keys. `own`: with those of callers, whose ids no provider has for a name."""

    shared: Standing
    own: Standing

    def of(self, way: Way) -> Standing:
        return self.shared if way.own is None else self.own
