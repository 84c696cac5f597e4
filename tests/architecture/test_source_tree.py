"""Habits of the source that no linter holds."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "gatewayz"

BANNED = re.compile(r"(^|_)(managers?|helpers?|utils?|common|base|handlers?|misc|data|info)(_|$)")

# Where an error that nobody foresaw is answered, logged and counted.
EDGES = {
    "api/asgi.py",  # a request
    "api/prompt_protocol.py",  # a request on its short way, which has the long one behind it
    "inference/service.py",  # an attempt at a provider
    "core/supervision.py",  # background work
}

MADE_TO_BE_FILLED = {"dict", "list", "set", "deque", "defaultdict", "OrderedDict", "Counter", "WeakValueDictionary"}
LIVES_IN_ONE_LOOP = {
    *("Lock", "Event", "Semaphore", "BoundedSemaphore", "Condition", "Queue", "Future"),
    *("ClientSession", "Redis", "from_url", "create_pool", "create_engine", "create_async_engine"),
    *("Cache", "Database", "FastAPI", "CollectorRegistry", "Settings", "load_settings", "Random", "SystemClock"),
}


def sources(*tops: str) -> Iterator[tuple[str, Path]]:
    for top in tops:
        for path in sorted((ROOT / top).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def called(value: ast.expr | None) -> str | None:
    """The last name of what is called, `ClientSession` of `aiohttp.ClientSession()`."""
    if not isinstance(value, ast.Call):
        return None
    function = value.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def is_empty_container(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    return called(value) in MADE_TO_BE_FILLED and not getattr(value, "args", None)


def caught(handler: ast.ExceptHandler) -> set[str]:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {"everything" if kind is None else getattr(kind, "id", "") for kind in kinds}


def raises_on(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_every_file_is_named_after_an_idea() -> None:
    nameless = [name for name, path in sources("src", "tests", "benchmarks") if BANNED.search(path.stem)]
    assert nameless == []


def test_an_unforeseen_error_is_caught_at_the_edges_only() -> None:
    broad = [
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and caught(node) & {"Exception", "BaseException", "everything"}
        and not raises_on(node)
    ]
    assert set(broad) <= EDGES, f"catch what can be named instead, or answer at one of {sorted(EDGES)}"
    assert len(broad) == len(set(broad)), "one edge, one place"


def test_no_module_keeps_state() -> None:
    """What is made at import is shared by all who import it, whatever loop, worker or test they are in."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and (is_empty_container(node.value) or called(node.value) in LIVES_IN_ONE_LOOP)
    ]
    assert found == [], "build it in app.py and hand it in"


def test_no_function_rebinds_a_name_of_its_module() -> None:
    assert [name for name, tree in modules() for node in ast.walk(tree) if isinstance(node, ast.Global)] == []


def test_only_the_composition_root_builds_the_shared_parts() -> None:
    """Commands may have a session of their own to ask the gateway over HTTP, as a client would."""
    parts = {"Cache", "Database", "ClientSession", "CatalogService", "ApiKeys", "InferenceService"}
    builders = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) in parts
    }
    assert [
        name for name in sorted(builders) if name not in ("app.py", "worker.py") and not name.startswith("cli/")
    ] == []
