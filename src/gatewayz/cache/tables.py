"""From which tables an entity is filled: plain data, of which the database's triggers are made."""

from msgspec import Struct


class Hop(Struct, frozen=True, kw_only=True):
    """From a value to the rows of `table` whose column `match` has it, and on to what their column `take` has."""

    table: str
    match: str
    take: str


class Table(Struct, frozen=True):
    """Rows of the table `name` fill the entity, so a changed row changes the value of some key.

    `key`: the column that holds the key as text, in the row as it was and as it is; or, with `via`, the column from
    where hops lead to it. Without `key` any change concerns every key of the entity.
    `ignoring`: columns that the entity does not show. A column added later counts until it is named here.
    """

    name: str
    key: str | None = None
    via: tuple[Hop, ...] = ()
    ignoring: tuple[str, ...] = ()
