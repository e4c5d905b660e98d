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


@pytest.mark.parametrize("before", ["", "import sse_sync.django.job_functions\n"])
def test_functions_of_jobs_are_loaded_on_first_use(before):
    """The front has Django's functions of jobs, whichever module was imported first."""
    code = (
        "import sys; import sse_sync.django\n"
        "print('sse_sync.jobs' in sys.modules)\n"
        f"{before}"
        "from sse_sync.django import attach, cancel, job, job_status, jobs, start\n"
        "found = (attach, cancel, job, job_status, jobs, start)\n"
        "print([each.__name__ for each in found if callable(each)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    names = ["attach", "cancel", "job", "job_status", "jobs", "start"]
    assert done.stdout.splitlines() == ["False", str(names)]


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
