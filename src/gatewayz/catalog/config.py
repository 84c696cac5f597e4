"""Settings of the catalog."""

from pydantic import BaseModel, Field


class CatalogConfig(BaseModel):
    sync_interval: float = Field(3600.0, ge=60, description="Seconds between live syncs of each provider's list.")
    sync_on_start: bool = Field(
        default=True,
        description="Sync a provider that is new here at once, then at each interval; off: after the first interval.",
    )
    remove_after_days: int = Field(
        30, ge=1, description="A model that has been inactive for so many days is removed from the catalog."
    )
    min_list_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="A list with fewer rows than this share of the provider's active models is refused; "
        "the last good list is kept.",
    )
    missing_limit: int = Field(
        3, ge=1, description="A model missing from this many accepted lists in a row becomes inactive."
    )
    max_price_ratio: float = Field(
        500.0,
        gt=1,
        description="A price further than this factor from the median over the other providers is refused. "
        "Real prices of one model differ up to 250 times, unit mistakes by 1,000 or more.",
    )
    max_price: float = Field(
        0.005, gt=0, description="No price per token above this many US dollars is believed, whoever says it."
    )
