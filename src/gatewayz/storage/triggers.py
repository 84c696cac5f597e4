"""Triggers that note, in the transaction that changes a row, which cached keys it concerns.

They are generated from the entities' declarations and the tables' columns. Each is a statement's trigger with
transition tables: it runs once, however many rows the statement touches, and notes distinct keys.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from asyncpg import Connection
from msgspec import Struct

from gatewayz.core.errors import GatewayzError

# More keys of one entity than this in one statement, and all of the entity is noted.
MOST_KEYS = 500
CHANNEL = "gatewayz"


class Shape(Struct, frozen=True):
    """Of a table: the type of each column, and the columns of the primary key."""

    types: dict[str, str]
    primary: list[str]


Shapes: TypeAlias = Mapping[str, Shape]


class HopLike(Protocol):
    @property
    def table(self) -> str: ...
    @property
    def match(self) -> str: ...
    @property
    def take(self) -> str: ...


class TableLike(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def via(self) -> Sequence[HopLike]: ...
    @property
    def ignoring(self) -> Sequence[str]: ...


class Filled(Protocol):
    """What is filled from tables: the cache's entities are such."""

    @property
    def name(self) -> str: ...
    @property
    def filled_from(self) -> Sequence[TableLike]: ...


class Function(Struct, frozen=True, order=True):
    name: str
    arguments: str
    returns: str
    body: str

    def sql(self, schema: str) -> str:
        """Runs with its owner's rights: whoever may change the table need not know of the outbox."""
        return (
            f"CREATE FUNCTION {self.name}({self.arguments}) RETURNS {self.returns} LANGUAGE plpgsql\n"
            f'SECURITY DEFINER SET search_path = "{schema}", pg_temp AS $body${self.body}$body$'
        )


class Triggers(Struct, frozen=True):
    """`definitions` are the CREATE TRIGGER statements as PostgreSQL shows them."""

    functions: tuple[Function, ...]
    definitions: tuple[str, ...]


_NOTE = Function(
    "cache_changed_note",
    "entity text, keys text[]",
    "void",
    f"""
DECLARE
    noted text[] := CASE WHEN cardinality(keys) <= {MOST_KEYS} THEN keys END;
    news text := cache_changed_news(entity, noted);
BEGIN
    INSERT INTO cache_outbox (entity, keys) VALUES (entity, noted) ON CONFLICT DO NOTHING;
    -- What is too long for a notification is told as a change of any key.
    PERFORM pg_notify('{CHANNEL}', CASE WHEN octet_length(news) < 7900 THEN news ELSE cache_changed_news(entity) END);
END
""",  # noqa: S608  constants of this module
)
_NEWS = Function(
    "cache_changed_news",
    "entity text, keys text[] DEFAULT NULL::text[]",
    "text",
    """
BEGIN
    RETURN json_build_object('type', 'changed', 'xact', pg_current_xact_id()::text, 'entity', entity, 'keys', keys);
END
""",
)
_EVENTS = {
    "insert": "REFERENCING NEW TABLE AS new_rows ",
    "update": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows ",
    "delete": "REFERENCING OLD TABLE AS old_rows ",
    "truncate": "",
}

_COLUMNS = """
SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, NULL) AS type,
       coalesce(a.attnum = ANY(i.indkey), false) AS is_primary
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
_FUNCTIONS = r"""
SELECT proname AS name, pg_get_function_arguments(oid) AS arguments, prorettype::regtype::text AS returns,
       prosrc AS body, oid::regprocedure::text AS signature
FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'cache\_changed\_%'
"""
_TRIGGERS = r"""
SELECT pg_get_triggerdef(t.oid, true) || CASE t.tgenabled WHEN 'O' THEN '' ELSE ' (switched off)' END AS definition
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'cache\_changed\_%'
"""


async def expected(connection: Connection, entities: Iterable[Filled]) -> Triggers:
    """What the declarations ask for. Raises GatewayzError where they name a table or column that does not exist."""
    watched = [(entity.name, table) for entity in entities for table in entity.filled_from]
    names = {name for _, table in watched for name in (table.name, *(hop.table for hop in table.via))}
    shapes: dict[str, Shape] = {}
    for row in await connection.fetch(_COLUMNS, sorted(names)):
        shape = shapes.setdefault(row["table"], Shape({}, []))
        shape.types[row["column"]] = row["type"]
        if row["is_primary"]:
            shape.primary.append(row["column"])
    by_table: dict[str, list[tuple[str, TableLike]]] = {}
    for entity, table in watched:
        _check(entity, table, shapes)
        by_table.setdefault(table.name, []).append((entity, table))
    functions = [_function(name, declared, shapes[name]) for name, declared in by_table.items()]
    return Triggers(
        functions=tuple(sorted([_NOTE, _NEWS, *functions])),
        definitions=tuple(sorted(_definition(name, event) for name in by_table for event in _EVENTS)),
    )


async def installed(connection: Connection) -> Triggers:
    """What the database has."""
    functions = [
        Function(row["name"], row["arguments"], row["returns"], row["body"])
        for row in await connection.fetch(_FUNCTIONS)
    ]
    definitions = [row["definition"] for row in await connection.fetch(_TRIGGERS)]
    return Triggers(functions=tuple(sorted(functions)), definitions=tuple(sorted(definitions)))


async def install(connection: Connection, entities: Iterable[Filled]) -> None:
    """Make the database's triggers those that the declarations ask for, in one transaction; nothing if they are."""
    async with connection.transaction():
        wanted = await expected(connection, entities)
        if await installed(connection) == wanted:
            return
        for row in await connection.fetch(_FUNCTIONS):
            await connection.execute(f"DROP FUNCTION {row['signature']} CASCADE")
        schema = await connection.fetchval("SELECT current_schema()")
        for function in wanted.functions:
            await connection.execute(function.sql(schema))
        for definition in wanted.definitions:
            await connection.execute(definition)


def _check(entity: str, table: TableLike, shapes: Shapes) -> None:
    wanted = [(table.name, column) for column in (*([table.key] if table.key else []), *table.ignoring)]
    wanted += [(hop.table, column) for hop in table.via for column in (hop.match, hop.take)]
    wanted += [] if wanted else [(table.name, "")]
    for name, column in wanted:
        if name not in shapes or (column and column not in shapes[name].types):
            raise GatewayzError(
                f"{entity!r} is declared to be filled from {name!r}, column {column!r}, which the database does not "
                "have: mend `filled_from` in the feature's repository.py, or add a migration"
            )
    if not shapes[table.name].primary:
        raise GatewayzError(
            f"{entity!r} is declared to be filled from {table.name!r}, which has no primary key to tell a changed "
            "row from others: add one by a migration"
        )


def _definition(table: str, event: str) -> str:
    return (
        f"CREATE TRIGGER cache_changed_{event} AFTER {event.upper()} ON {table} {_EVENTS[event]}"
        f"FOR EACH STATEMENT EXECUTE FUNCTION cache_changed_{table}()"
    )


def _function(name: str, declared: Sequence[tuple[str, TableLike]], shape: Shape) -> Function:
    blocks = "".join(_block(entity, table, shape) for entity, table in declared)
    return Function(f"cache_changed_{name}", "", "trigger", f"\nBEGIN{blocks}    RETURN NULL;\nEND\n")


def _block(entity: str, table: TableLike, shape: Shape) -> str:
    """First the distinct values of the row's own column, then where they lead, planned anew each time: a plan made
    while the tables were small would be kept by the session for ever.
    """
    found = f'"{table.key}"' if table.key else "true"
    kind = shape.types[table.key] if table.key else "boolean"
    pick = f"SELECT array_agg(DISTINCT {found}) FILTER (WHERE {found} IS NOT NULL) INTO found FROM"
    return f"""
    DECLARE
        found {kind}[];
        concerned text[];
    BEGIN
        IF TG_OP = 'INSERT' THEN
            {pick} new_rows;
        ELSIF TG_OP = 'DELETE' THEN
            {pick} old_rows;
        ELSIF TG_OP = 'UPDATE' THEN
            {pick} ({_changed(table, shape)}) AS changed;
        END IF;
        {_concerned(table)}
        IF TG_OP = 'TRUNCATE'{" OR found IS NOT NULL" if table.key is None else ""} THEN
            PERFORM cache_changed_note('{entity}', NULL);
        ELSIF concerned IS NOT NULL THEN
            PERFORM cache_changed_note('{entity}', concerned);
        END IF;
    END;
"""


def _changed(table: TableLike, shape: Shape) -> str:
    """The key column of rows that differ in anything that the entity shows: as it was, and as it is."""
    shown = [column for column in shape.types if column not in table.ignoring]
    old, new = (", ".join(f'{side}."{column}"' for column in shown) for side in "on")
    same_row = " AND ".join(f'o."{column}" = n."{column}"' for column in shape.primary)
    picked = f'unnest(ARRAY[o."{table.key}", n."{table.key}"]) AS "{table.key}"' if table.key else ""
    return (
        f"SELECT {picked} FROM old_rows o FULL JOIN new_rows n ON {same_row} "  # noqa: S608  the schema's own names
        f"WHERE ROW({old}) IS DISTINCT FROM ROW({new})"
    )


def _concerned(table: TableLike) -> str:
    if table.key is None:
        return ""
    if not table.via:
        return "concerned := found::text[];"
    source, match = "", ""
    for number, hop in enumerate(table.via):
        on = f'h{number}."{hop.match}"'
        source += f" JOIN {hop.table} h{number} ON {on} = {match}" if match else f"{hop.table} h{number}"
        match = f'h{number}."{hop.take}"'
    first = f'h0."{table.via[0].match}"'
    query = f"SELECT array_agg(DISTINCT {match}::text) FROM {source} WHERE {first} = ANY($1)"  # noqa: S608  likewise
    return f"""IF found IS NOT NULL THEN
            EXECUTE '{query}' INTO concerned USING found;
        END IF;"""
