"""Rows of a really different build, made plain. None of these raises: what is not understood is left."""

from gatewayz.providers.prices import BadPriceError, read_number
from gatewayz.providers.shapes.form import Row

_WANTED_UNITS = {"per M input tokens": "input_price", "per M output tokens": "output_price"}


def dearest_host(row: Row) -> Row:
    """A router's model is served by one of several hosts, which only the router knows before the answer.

    So the dearest live host's prices stand for it (nobody is ever charged less than the request costs), and
    the smallest context among them (a prompt that fits there fits everywhere).
    """
    hosts = [host for host in _objects(row.get("providers")) if host.get("status", "live") == "live"]
    told: dict[str, object] = {
        key: price
        for key, field in (("input_price", "input"), ("output_price", "output"))
        if (price := _dearest(hosts, field)) is not None
    }
    contexts = [size for host in hosts if type(size := host.get("context_length")) is int and size > 0]
    if contexts:
        told["context_length"] = min(contexts)
    for flag in ("supports_tools", "supports_structured_output"):
        if any(isinstance(host.get(flag), bool) for host in hosts):
            told[flag] = any(host.get(flag) is True for host in hosts)
    return {**row, **told}


def properties(row: Row) -> Row:
    """A list `properties` of {property_id, value}, where prices are {unit, price} and booleans are words."""
    told: dict[str, object] = {}
    for entry in _objects(row.get("properties")):
        name, value = entry.get("property_id"), entry.get("value")
        if name == "price":
            told.update(_unit_prices(value))
        elif isinstance(name, str):
            told[name] = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    return {**told, **row}


def _unit_prices(value: object) -> dict[str, object]:
    prices: dict[str, object] = {}
    for entry in _objects(value):
        unit = entry.get("unit")
        if isinstance(unit, str) and unit in _WANTED_UNITS and entry.get("currency", "USD") == "USD":
            prices[_WANTED_UNITS[unit]] = entry.get("price")
    return prices


def _dearest(hosts: list[Row], field: str) -> object:
    """The highest price, None where a host does not tell; what is no number is left for the parser."""
    known = []
    for host in hosts:
        pricing = host.get("pricing")
        raw = pricing.get(field) if isinstance(pricing, dict) else None
        try:
            number = read_number(raw)
        except BadPriceError:
            return raw
        if number is None:
            return None
        known.append(number)
    return max(known, default=None)


def _objects(value: object) -> list[Row]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
