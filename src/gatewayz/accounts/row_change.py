"""One row changed in a few columns, or added: the statement for it."""

from collections.abc import Mapping


def update(table: str, columns: Mapping[str, object]) -> str:
    """Sets the columns to $2, $3, … where `id` is $1. Table and columns are names of ours, never a caller's words."""
    sets = ", ".join(f"{column} = ${number}" for number, column in enumerate(columns, 2))
    return f"UPDATE {table} SET {sets} WHERE id = $1"  # noqa: S608  names of the schema


def insert(table: str, columns: Mapping[str, object]) -> str:
    """A row with $1, $2, … in the columns; returns its id."""
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) RETURNING id"  # noqa: S608  as above
