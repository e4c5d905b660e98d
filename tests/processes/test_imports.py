"""What importing the package loads, in fresh processes, where nothing else has loaded it."""

import subprocess
import sys

import pytest


def test_standard_library_only():
    """The package and its testing module need only the standard library."""
    code = (
        "import sys; import sse_sync, sse_sync.wsgi, sse_sync.testing, sse_sync.settings;"
        "print([n for n in ('gevent','greenlet','flask','django','redis','gunicorn')"
        " if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("front", ["flask", "django"])
def test_missing_framework(front):
    """Without its framework, a front says what to install."""
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


def test_asyncio_only_for_async_sources():
    """A stream of an ordinary generator, on a server, does without asyncio; another needs it."""
    code = (
        "import sys, sse_sync, sse_sync.wsgi\n"
        "def stream(source):\n"
        "    return list(sse_sync.EventStream(source, {'SERVER_SOFTWARE': 'test'}))\n"
        "def words(): yield 'a'\n"
        "async def async_words(): yield 'a'\n"
        "assert len(stream(words())) == 3\n"
        "print('asyncio' in sys.modules)\n"
        "assert stream(async_words()) == stream(words())\n"
        "print('asyncio' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "True"]


def test_models_are_recognised():
    """Models are recognised without their packages."""
    code = (
        "import sys, sse_sync, sse_sync.event as event\n"
        "from decimal import Decimal\n"
        "assert event.encode([Decimal(1)]) == b'data: [\"1\"]\\n\\n'\n"
        "print({'pydantic', 'msgspec', 'attr', 'attrs', 'datastar_py'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"
