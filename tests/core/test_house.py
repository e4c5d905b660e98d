"""The shape of the package: small files, small classes, short functions, and tests beside each."""

import ast
import functools
import statistics
from pathlib import Path

import pytest

import sse_sync

ROOT = Path(sse_sync.__file__).parent
TESTS = Path(__file__).parents[1]
FILES = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.py"))}

# Modules with fewer lines of code need no test file of their own.
TINY = 25
# Modules that another file tests, and why.
COVERED = {
    "__init__.py": ("core/test_imports.py", "it only exports"),
    "brokers/base.py": ("core/brokers/broker_contract.py", "every broker passes the contract"),
    "brokers/jobs.py": ("core/brokers/job_contract.py", "every job store passes the contract"),
    "brokers/messages.py": ("core/brokers/broker_contract.py", "every broker passes the contract"),
    "channels/user_stream.py": ("core/channels/test_users.py", "one half of the same thing"),
    "cli.py": ("brokers/test_cli.py", "the command needs a broker"),
    "exceptions.py": ("core/test_event.py", "whoever raises an error tests what it says"),
    "fields.py": ("core/test_event.py", "an event is refused for what is wrong with a field"),
    "feed.py": ("core/streams/test_source.py", "it only says what a feed is"),
    "runtime/__init__.py": ("core/runtime/test_threads.py", "it only chooses"),
    "runtime/greenlets.py": ("processes/test_greenlets.py", "patching cannot be undone"),
    "runtime/hub_loop.py": ("processes/test_hub_loop.py", "patching cannot be undone"),
}
# Folders that are tested elsewhere, because they need a server or a framework.
FOLDERS = {
    "brokers/redis/": "brokers/test_redis*.py",
    "django/": "fronts/test_django*.py",
    "flask/": "fronts/test_flask*.py",
    "gunicorn/": "fronts/test_gunicorn*.py",
}

LONGEST_FILE = 400
MOST_ATTRIBUTES = 15
MEDIAN_LINES, MOST_LINES = 7, 20

# One connection costs one object, and one fan-out serves thousands; the rest are tables of options.
WIDE = {"HandoffConnection", "Fanout", "Options"}


def docstring(node):
    first = node.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first if is_text and isinstance(first.value.value, str) else None


def lines_of_code(nodes):
    """Return the numbers of the lines that are no docstrings, comments and blanks."""
    skipped, lines = set(), set()
    for inner in nodes:
        if isinstance(inner, (ast.Module, ast.ClassDef, ast.FunctionDef)) and docstring(inner):
            text = docstring(inner)
            skipped.update(range(text.lineno, text.end_lineno + 1))
        if isinstance(inner, (ast.stmt, ast.expr)):
            lines.update((inner.lineno, inner.end_lineno))
    return lines - skipped


@functools.cache
def shape(name):
    """Return the number of a module's lines, those of its functions, and the sizes of its classes.

    The tree is not kept: where tests collect garbage, all of it would be looked at.
    """
    nodes = list(ast.walk(ast.parse(FILES[name].read_text())))
    lines = lines_of_code(nodes)
    functions = [
        len(lines.intersection(range(first_line(node), node.end_lineno + 1)))
        for node in nodes
        if isinstance(node, ast.FunctionDef)
    ]
    classes = {node.name: len(attributes(node)) for node in nodes if isinstance(node, ast.ClassDef)}
    return len(lines), functions, classes


def first_line(function):
    return min(node.lineno for node in (function, *function.decorator_list))


def attributes(node):
    """Return the names of what a class keeps in its instances."""
    found = set()
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and is_dataclass(node):
            found.add(statement.target.id)
        elif isinstance(statement, ast.Assign) and statement.targets[0].id == "__slots__":
            found.update(
                text.value for text in ast.walk(statement.value) if isinstance(text, ast.Constant)
            )
        elif isinstance(statement, ast.FunctionDef):
            found.update(
                inner.attr
                for inner in ast.walk(statement)
                if isinstance(inner, ast.Attribute)
                and isinstance(inner.ctx, ast.Store)
                and isinstance(inner.value, ast.Name)
                and inner.value.id == "self"
            )
    return found - {"__weakref__"}


def is_dataclass(node):
    return any("dataclass" in ast.dump(decorator) for decorator in node.decorator_list)


def has_tests(name):
    """Whether a module has a test file where one would look for it."""
    folder, file = Path(name).parent, Path(name).name
    elsewhere = [tests for part, tests in FOLDERS.items() if name.startswith(part)]
    return any(TESTS.glob(elsewhere[0] if elsewhere else f"core/{folder}/test_{file}"))


def test_modules_have_tests():
    """Each module has a test file of its own, in the folder of the same name."""
    untested = {
        name
        for name in FILES
        if shape(name)[0] > TINY and name not in COVERED and not has_tests(name)
    }
    assert untested == set()


def test_exceptions_are_needed():
    """A module that another file tests has no test file of its own, and both exist."""
    for name, (tests, why) in COVERED.items():
        assert name in FILES
        assert not has_tests(name)
        assert (TESTS / tests).exists()
        assert why


def test_files_are_short():
    """No file is longer than can be read in one sitting."""
    long = {name for name, path in FILES.items() if path.read_text().count("\n") > LONGEST_FILE}
    assert long == set()


def test_classes_are_narrow():
    """No class keeps so much that nobody can say how it all belongs together."""
    wide = {
        class_name
        for name in FILES
        for class_name, size in shape(name)[2].items()
        if size > MOST_ATTRIBUTES
    }
    assert wide - WIDE == set()


def test_functions_are_short():
    """Most functions do one thing."""
    lengths = sorted(lines for name in FILES for lines in shape(name)[1])
    assert statistics.median(lengths) <= MEDIAN_LINES
    assert lengths[len(lengths) * 9 // 10] <= MOST_LINES


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("def f():\n    '''Say.'''\n    return 1\n", 2),
        ("def f():\n    # Why.\n\n    return (\n        1,\n        2,\n    )\n", 5),
        ("class C:\n    '''Say.'''\n    x = 1\n", 2),
    ],
)
def test_lines_of_code(code, lines):
    """What is counted is what a reader has to follow."""
    assert len(lines_of_code(ast.walk(ast.parse(code)))) == lines
