"""What `gatewayz serve` tells the person at the terminal."""

from gatewayz.accounts.model import NewApiKey
from gatewayz.cli.console import Output
from gatewayz.cli.first_start import FirstKeys
from gatewayz.cli.installation import Installation


def announce_keys(output: Output, keys: FirstKeys) -> None:
    """As soon as they are made: nobody can show them again."""
    output.say("first start: these keys were made and are shown this once")
    if keys.admin is not None:
        _announce_key(output, "admin key", keys.admin)
    _announce_key(output, "API key  ", keys.api)


def announce_ready(output: Output, place: Installation, url: str, keys: FirstKeys | None, seconds: float) -> None:
    say = output.say
    say(f"gatewayz is ready on {url} after {seconds:.1f} s")
    say(f"  {_database(place)}, {_redis(place)}, {_workers(place.settings.workers)}")
    if place.servers.redis_url and not place.servers.database_url:
        say("  this Redis serves this host only: with several hosts on one database, set REDIS_URL")
    if keys is None:
        say("  a new API key: `gatewayz keys create --name NAME --credits 10`")
    else:
        say("\nTry it:\n")
        say(_chat(url, keys.api.secret) if place.settings.has_demo else _models(url))


def _announce_key(output: Output, what: str, key: NewApiKey) -> None:
    output.say(f"  {what} {key.secret}")


def _database(place: Installation) -> str:
    return "embedded PostgreSQL" if place.servers.database_url else "PostgreSQL as given"


def _redis(place: Installation) -> str:
    if place.servers.redis_url:
        return f"embedded Redis ({place.servers.redis_source})"
    if place.settings.redis_url():
        return "Redis as given"
    return "no Redis: L1 over PostgreSQL, which carries the invalidations"


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _models(url: str) -> str:
    return f"curl '{url}/v1/models?limit=3'\n\nChats answer once a provider has a key: see `gatewayz doctor`.\n"


def _chat(url: str, secret: str) -> str:
    return (
        f"curl {url}/v1/chat/completions \\\n"
        f'  -H "Authorization: Bearer {secret}" -H "Content-Type: application/json" \\\n'
        """  -d '{"model": "demo/echo", "messages": [{"role": "user", "content": "Hello"}]}'\n"""
    )
