"""What is shipped."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import sse_sync

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the checkout, as a release is."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(
        ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(source)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(source)]
    subprocess.run([*command, "-w", str(folder)], check=True, capture_output=True, timeout=300)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_holds_the_package_alone(wheel):
    """Nothing but the package and its metadata is installed, and the typing marker is there."""
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"sse_sync", f"sse_sync-{sse_sync.__version__}.dist-info"}
    assert "sse_sync/py.typed" in wheel.namelist()
    assert "sse_sync/flask/response.py" in wheel.namelist()


def test_metadata(wheel):
    """The metadata has the licence, the extras and no hard dependency."""
    (path,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    metadata = Parser().parsestr(wheel.read(path).decode())
    assert metadata["Name"] == "sse-sync"
    assert metadata["Requires-Python"] == ">=3.10"
    extras = set(metadata.get_all("Provides-Extra"))
    assert extras == {"all", "django", "docs", "flask", "gunicorn", "redis", "test"}
    required = metadata.get_all("Requires-Dist")
    assert all("extra ==" in requirement for requirement in required)
    assert any(requirement.startswith("gunicorn[gevent]") for requirement in required)
    assert any("LICENSE" in name for name in wheel.namelist())
