"""The direction of imports, and what each module may need."""

import ast
import functools
import sys
from pathlib import Path

import sse_sync

ROOT = Path(sse_sync.__file__).parent

# The parts of the package: each imports itself and earlier parts, imports for type checkers
# included.
ORDER = [
    *("exceptions", "fields", "jsonable", "event_text", "event", "parser", "proxies"),
    *("validation", "settings", "request", "server"),
    *("cors", "closing", "runtime", "feed"),
    *(
        "brokers",
        "channels",
        "streams",
        "jobs",
        "wsgi",
        "views",
        "fake_loop",
        "testing",
        "cli",
        "__init__",
        "__main__",
    ),
]
# For one framework or one server each: they import the core, but not each other.
FRONTS = {
    "flask": {"flask", "werkzeug", "click", "itsdangerous"},
    "django": {"django", "asgiref"},
    "gunicorn": {"gunicorn"},
}
# The runtime is chosen when it is needed, not at import.
LAZY = {("runtime", "runtime.threads"), ("runtime", "runtime.greenlets")}
# Modules of the core that need more than the standard library.
DRIVERS = {
    "runtime.greenlets": {"gevent", "greenlet"},
    "runtime.hub_loop": {"gevent", "greenlet"},
    "brokers.redis.topology": {"redis"},
    "gunicorn.gevent_worker": {"gevent", "gunicorn"},
}


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts), path


NAMES = {name for name, _ in modules()}


@functools.cache
def imports(path):
    """Return everything a module imports, as (name, whether it is of this package)."""
    return list(find_imports(path))


def statements(node):
    """Return the statements inside a node; to walk its expressions, too, takes ten times longer."""
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for inner in getattr(node, field, ()):
            yield inner
            yield from statements(inner)


def find_imports(path):
    package = ["sse_sync", *path.relative_to(ROOT).parts[:-1]]
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], False
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if not (node.module or "").startswith(("_typeshed", "typing_extensions")):
                yield (node.module or "").split(".")[0], False
        elif isinstance(node, ast.ImportFrom):
            base = package[1 : len(package) - node.level + 1]
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                inside = ".".join([*base, alias.name])
                yield inside if inside in NAMES else ".".join(base) or "__init__", True


def arrows():
    """Every import of one module of the package by another."""
    return {
        (name, imported)
        for name, path in modules()
        for imported, is_ours in imports(path)
        if is_ours and imported != name
    }


def test_direction():
    """No part imports a later one, no front another, and no module itself indirectly."""
    place = {part: number for number, part in enumerate(ORDER)}
    wrong = []
    for name, imported in sorted(arrows() - LAZY):
        part, other = name.split(".")[0], imported.split(".")[0]
        if part in FRONTS:
            ok = other == part or other not in FRONTS
        else:
            ok = other not in FRONTS and place[other] <= place[part]
        if not ok:
            wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_no_cycles():
    """No module imports itself by others."""
    below = {}
    for name, imported in arrows() - LAZY:
        below.setdefault(name, set()).add(imported)
    while leaves := [name for name in below if not below[name] & below.keys()]:
        for name in leaves:
            del below[name]
    cyclic = {name for name in below if any(name in others for others in below.values())}
    assert sorted(cyclic) == []


def test_drivers():
    """The core needs only the standard library, and a front only its framework."""
    wrong = []
    for name, path in modules():
        allowed = DRIVERS.get(name) or FRONTS.get(name.split(".")[0], set())
        for imported, is_ours in imports(path):
            if not is_ours and imported not in sys.stdlib_module_names | allowed:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_exports():
    """Every export of the package is also exported by the module that defines it."""
    for name in sse_sync.__all__:
        value = getattr(sse_sync, name)
        module = getattr(value, "__module__", None)
        if module is not None:
            assert name in sys.modules[module].__all__
    assert len(sse_sync.__all__) == len(set(sse_sync.__all__))


def test_every_module_declares_its_exports():
    """Every module has an explicit __all__."""
    for name, path in modules():
        if name == "__main__":
            continue
        assert "__all__ = " in path.read_text(), name
