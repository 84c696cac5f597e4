"""Settings of credits."""

from decimal import Decimal

from pydantic import BaseModel, Field


class CreditsConfig(BaseModel):
    max_grant: Decimal = Field(Decimal(10_000), gt=0, description="US dollars that one grant may have.")
    max_adjustment: Decimal = Field(
        Decimal(1_000), gt=0, description="US dollars by which one adjustment may raise or lower an account."
    )
    max_refund: Decimal = Field(Decimal(1_000), gt=0, description="US dollars that one refund may have.")
    holds_per_tranche: int = Field(
        16, ge=1, le=1000, description="Holds as large as the one asked for that a tranche is filled for, at least."
    )
    tranche_lasts: float = Field(
        5.0, ge=0, description="Seconds for which a tranche in use is filled, if that is for more than those holds."
    )
    tranche_share: int = Field(
        16,
        ge=1,
        description="A tranche takes no more than this part of what is available, 16 for a sixteenth, unless "
        "one request alone needs more.",
    )
    retire_after: float = Field(600.0, gt=0, description="Seconds after which a tranche gives no more holds.")
    retire_idle: float = Field(60.0, gt=0, description="Seconds without a request after which it gives no more.")
    longest_request: float = Field(
        3600.0, gt=0, description="Seconds that a request can run. What a retired tranche still holds is then released."
    )
    close_margin: float = Field(300.0, ge=0, description="Seconds that it is held beyond that.")
    tend_every: float = Field(
        5.0, gt=0, description="Seconds between two looks at the tranches, by one process of all."
    )
    settle_every: float = Field(0.2, gt=0, description="Seconds that charges wait for others to be settled with.")
    settle_most: int = Field(500, ge=1, le=10_000, description="Charges that are settled in one transaction.")
    sync_every: float = Field(
        0.5,
        gt=0,
        description="Seconds between two moments at which the journal of charges is forced to the disk. A "
        "killed process loses nothing in between, a host without power does.",
    )
    adopt_every: float = Field(5.0, gt=0, description="Seconds between two looks for journals of dead workers.")
    reconcile_every: float = Field(3600.0, gt=0, description="Seconds between two proofs that every balance is right.")
