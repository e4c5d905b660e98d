"""The direction of imports, and what the package needs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sse_sync

ROOT = Path(sse_sync.__file__).parent

# What each module of the core may import of the package: nothing that is above it.
LAYERS = [
    {"exceptions", "clock", "natives", "proxies"},
    {"event"},
    {"reactor", "settings", "connection", "brokers"},
    {"parser", "runtime", "registry", "mailbox", "dispatch", "ledger", "cors"},
    {"threads", "greenlets", "admission", "pump", "chores", "access"},
    {"farewell", "visits"},
    {"rechecks", "vigil"},
    {"people", "periodic"},
    {"fanout"},
    {"handoff"},
    {"departure"},
    {"hub"},
    {"channels", "stream", "subscription"},
    {"wsgi", "testing", "cli"},
    {"__init__", "__main__"},
]
# Drawn against the layers on purpose: a world is chosen where it is needed, not at import.
LAZY = {("runtime", "threads"), ("runtime", "greenlets")}
DRIVERS = {"brokers.redis_nodes": "redis"}
FRONTS = {"flask", "django"}
# What is made for one server, or for one framework: nothing of the core imports it.
OUTSIDE = {*FRONTS, "gunicorn"}


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts), path


def imports(path, package):
    # Absolute and relative imports alike, as (top-level name, name inside this package or None).
    tree = ast.parse(path.read_text())
    typing_only = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], None
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield (node.module or "").split(".")[0], None
                continue
            base = package[: len(package) - node.level + 1]
            target = [*base, *((node.module or "").split(".") if node.module else [])]
            names = [target] if node.module else [[*target, a.name] for a in node.names]
            for name in names:
                inside = name[1:] or ["__init__"]
                yield "sse_sync", inside[0]


def arrows():
    for name, path in modules():
        package = ["sse_sync", *name.split(".")[:-1]]
        for top, inside in imports(path, package):
            yield name, top, inside


@pytest.mark.parametrize(("name", "top", "inside"), sorted(set(arrows()), key=str))
def test_direction(name, top, inside):
    """No module imports what is above it, and no front another front."""
    part = name.split(".")[0]
    if top != "sse_sync":
        allowed = {
            "flask": {"flask", "werkzeug", "click", "itsdangerous"},
            "django": {"django"},
            "gunicorn": {"gunicorn"},
        }.get(part, set())
        allowed |= {DRIVERS[name]} if name in DRIVERS else set()
        if part == "greenlets" or name == "gunicorn.gevent_worker":
            allowed |= {"gevent"}
        if part == "greenlets":
            allowed = {"gevent", "greenlet"}
        assert top in sys.stdlib_module_names | allowed, f"{name} imports {top}"
    elif part in OUTSIDE:
        assert inside not in OUTSIDE - {part}, f"{name} imports the front {inside}"
    else:
        assert inside not in OUTSIDE, f"the core module {name} imports the front {inside}"
        level = {module: number for number, layer in enumerate(LAYERS) for module in layer}
        below = level[inside] < level[part] or (part, inside) in LAZY
        # Within its folder a broker may import the contract.
        assert below or part == inside == "brokers", f"{name} imports {inside}, not below it"


def test_layers_are_complete():
    """Every module of the core has its place."""
    core = {name.split(".")[0] for name, _ in modules()} - OUTSIDE
    assert core == set().union(*LAYERS)


def test_standard_library_only():
    """The package and its testing module need nothing that is not in the standard library."""
    code = (
        "import sys; import sse_sync, sse_sync.wsgi, sse_sync.testing, sse_sync.settings;"
        "print([n for n in ('gevent','greenlet','flask','django','redis','gunicorn')"
        " if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("front", sorted(FRONTS))
def test_missing_framework(front):
    """A front without its framework names what to install."""
    code = (
        f"import sys; sys.modules[{front!r}] = None\n"
        "try:\n"
        f"    import sse_sync.{front}\n"
        "except ModuleNotFoundError as exc:\n"
        "    print(exc)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert f'pip install "sse-sync[{front}]"' in done.stdout


def test_exports():
    """Whatever the package exports is exported by the module that defines it."""
    for name in sse_sync.__all__:
        value = getattr(sse_sync, name)
        module = getattr(value, "__module__", None)
        if module is not None:
            assert name in sys.modules[module].__all__
    assert len(sse_sync.__all__) == len(set(sse_sync.__all__))


def test_every_module_declares_its_exports():
    """Every module has an explicit __all__."""
    for name, path in modules():
        if name.endswith("__main__"):
            continue
        assert "__all__ = " in path.read_text(), name
