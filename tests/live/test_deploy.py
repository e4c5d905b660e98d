"""The files in deploy/: nginx before gunicorn, HTTP/2, the systemd unit, the Compose file."""

import configparser
import contextlib
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from sse_sync.testing import LiveStream
from tests.browsers import Chromium
from tests.live.servers import GUNICORN_OPTIONS, ROOT, START_DEADLINE, Kind, Server
from tests.live.test_gunicorn import PROMPT, is_alive, rest
from tests.nginx import Nginx
from tests.redis_server import RedisServer
from tests.waiting import PATIENCE, wait_for

DEPLOY = ROOT / "deploy"
CONTROL = tuple({"--no-control-socket"} & GUNICORN_OPTIONS)


class Site:
    """nginx in front of three gunicorn workers."""

    def __init__(self, nginx, gunicorn):
        self.nginx, self.gunicorn = nginx, gunicorn
        self.context = nginx.client_context()

    def stream(self, path, **arguments):
        plain = socket.create_connection(("127.0.0.1", self.nginx.port), timeout=PATIENCE)
        secure = self.context.wrap_socket(plain, server_hostname="localhost")
        return LiveStream(self.nginx.url + path, connection=secure, timeout=PATIENCE, **arguments)


@pytest.fixture(scope="module", params=["flask", "django"])
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deploy")
    bind = ("-b", "127.0.0.1:{port}", "-b", f"unix:{folder}/gunicorn.sock")
    command = ("{bin}/gunicorn", *CONTROL, "-c", "deploy/gunicorn.conf.py", *bind, "{app}")
    kind = Kind("gunicorn-deploy", request.param, command, True)
    with RedisServer(folder) as redis:
        env = {"TEST_BROKER_URL": redis.url, "WEB_CONCURRENCY": "3"}
        with (
            Server(kind, folder / "gunicorn.log", env) as gunicorn,
            Nginx(folder, folder / "gunicorn.sock") as nginx,
        ):
            yield Site(nginx, gunicorn)
        assert "Traceback" not in gunicorn.output()


def test_nothing_is_held_back(site, key):
    """Events reach the client at once, and heartbeats arrive."""
    with site.stream(f"/subscribe/{key}", comments=True) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Content-Encoding"] is None
        assert next(event for event in stream if event.comment is None).event == "stream-open"
        for number in range(5):
            began = time.monotonic()
            site.gunicorn.get(f"/publish/{key}?first={number}")
            while (event := next(stream)).data is None:
                pass  # A heartbeat.
            assert event.data == str(number)
            assert time.monotonic() - began < PROMPT
        assert any(event.comment is not None for event in stream.take(2))


def test_generators(site, key):
    """A disconnect is noticed through nginx, and the generator ends."""
    with site.stream(f"/stream/count?key={key}") as stream:
        assert [event.id for event in stream.take(3)] == ["1", "2", "3"]
    with site.stream(f"/stream/sleeping?key={key}") as stream:
        assert next(stream).data == "ready"
    line = "event stream /stream/sleeping ended: client gone"
    wait_for(lambda: line in site.gunicorn.output(), "the end of the source")


def test_worker_is_killed(site, key):
    """A client whose worker is killed reconnects to another, and misses nothing."""
    with site.stream(f"/subscribe/{key}") as stream:
        assert next(stream).event == "stream-open"
        site.gunicorn.get(f"/publish/{key}?first=1")
        event = next(stream)
        assert event.data == "1"
        workers = children(site.gunicorn.process.pid)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        rest(stream)  # Ends.
    wait_for(lambda: not any(is_alive(worker) for worker in workers), "the workers' end")
    wait_for(lambda: published(site, f"/publish/{key}?first=2"), "another worker")
    with site.stream(f"/subscribe/{key}", last_event_id=event.id) as stream:
        assert next(stream).data == "2"


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def published(site, path):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return site.gunicorn.get(path)


def test_nobody_behind(tmp_path):
    """Without gunicorn, an EventSource is made to come back; other requests fail."""
    accept = {"Accept": "text/event-stream"}
    with Nginx(tmp_path, tmp_path / "nobody.sock") as nginx:
        times = set()
        for _ in range(20):
            status, headers, body = asked(nginx, "/orders", Origin="https://a.example", **accept)
            assert status == 200
            assert headers["Content-Type"] == "text/event-stream"
            assert headers["Cache-Control"] == "no-cache"
            assert headers["Access-Control-Allow-Origin"] == "https://a.example"
            [field, milliseconds] = body.removesuffix(b"\n").split(b": ")
            assert field == b"retry"
            times.add(int(milliseconds))
        assert len(times) > 1
        assert times <= {2000, 3000, 4000, 5000}
        assert asked(nginx, "/")[0] == 502
        assert asked(nginx, "/orders", method="POST", **accept)[0] == 502


def asked(nginx, path, method="GET", **headers):
    connection = http.client.HTTPSConnection(
        "localhost", nginx.port, timeout=30, context=nginx.client_context()
    )
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def test_plain_http(site):
    """Plain HTTP is redirected to TLS."""
    connection = http.client.HTTPConnection("localhost", site.nginx.plain_port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/subscribe/x", headers={"Host": "localhost"})
        response = connection.getresponse()
        assert response.status == 301
        assert response.headers["Location"] == "https://localhost/subscribe/x"


LISTEN = """
    window.got = null;
    window.source = new EventSource(arguments[0]);
    source.onopen = () => { window.got ??= "open"; };
    source.addEventListener("n", (event) => { window.got = event.data; });
"""


def tabs(browser, url, path, count):
    """Open tabs with a stream each; return their handles."""
    handles = []
    for _ in range(count):
        browser.driver.switch_to.new_window("tab")
        browser.open(f"{url}/plain")
        browser.run(LISTEN, path)
        handles.append(browser.driver.current_window_handle)
    return handles


def seen(browser, handles):
    """Return what each tab has received."""
    found = []
    for handle in handles:
        browser.driver.switch_to.window(handle)
        found.append(browser.run("return window.got"))
    return found


def test_twenty_tabs(site, key, tmp_path):
    """Over HTTP/2 all tabs get every event; over HTTP/1.1 a browser opens six connections."""
    with Chromium(tmp_path) as browser:
        path = f"/subscribe/{key}"
        many = tabs(browser, site.nginx.url, path, 20)
        wait_for(lambda: seen(browser, many), "twenty streams", 20, equals=["open"] * 20)
        protocol = "return performance.getEntriesByType('navigation')[0].nextHopProtocol"
        assert browser.run(protocol) == "h2"
        site.gunicorn.get(f"/publish/{key}?first=1")
        wait_for(lambda: seen(browser, many), "twenty events", equals=["1"] * 20)

        # Without nginx, the page of a seventh tab would not even load.
        few = tabs(browser, site.gunicorn.url, path, 5)
        browser.driver.switch_to.new_window("tab")
        browser.open(f"{site.gunicorn.url}/plain")
        browser.run(LISTEN, path)
        sixth = browser.driver.current_window_handle
        browser.run("window.seventh = new EventSource(arguments[0])", path)
        wait_for(lambda: seen(browser, [*few, sixth]), "six streams", equals=["open"] * 6)
        site.gunicorn.get(f"/publish/{key}?first=2")
        wait_for(lambda: seen(browser, [*few, sixth]), "six events", equals=["2"] * 6)
        assert browser.run("return window.seventh.readyState") == 0  # CONNECTING
        browser.run("source.close()")
        wait_for(lambda: browser.run("return window.seventh.readyState"), "its turn", equals=1)


def test_systemd_unit(tmp_path):
    """Its command starts the example, notifies systemd, and reloads and stops as described."""
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    unit.optionxform = str
    lines = (DEPLOY / "sse-sync.service").read_text().splitlines()
    given = dict(line.removeprefix("Environment=").split("=", 1) for line in lines
                 if line.startswith("Environment="))  # fmt: skip
    unit.read_string("\n".join(line for line in lines if not line.startswith("Environment=")))
    service = unit["Service"]
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.startswith(service["WorkingDirectory"] + "/.venv/bin/")
    program = str(Path(sys.executable).with_name(Path(program).name))
    folder = service["RuntimeDirectory"]
    with RedisServer(tmp_path) as redis, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(START_DEADLINE)
        environ = {
            **os.environ, **given,
            "SSE_BROKER_URL": redis.url,
            "DATABASE": str(tmp_path / Path(given["DATABASE"]).name),
            "BIND": f"unix:{tmp_path}/gunicorn.sock",
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
        }  # fmt: skip
        assert folder in (DEPLOY / "gunicorn.conf.py").read_text()
        # What it prints is shown if the test fails.
        process = subprocess.Popen([program, *CONTROL, *arguments], cwd=ROOT, env=environ)
        try:
            assert b"READY=1" in told.recv(4096)
            assert first_event(tmp_path) == "stream-open"
            wait_for(lambda: len(children(process.pid)), "three workers", equals=3)
            before = set(children(process.pid))
            reload = shlex.split(service["ExecReload"])
            subprocess.run([str(process.pid) if a == "$MAINPID" else a for a in reload], check=True)
            wait_for(
                lambda: before & set(children(process.pid)),
                "the old workers' end",
                START_DEADLINE,
                equals=set(),
            )
            assert first_event(tmp_path) == "stream-open"
        finally:
            process.terminate()
        assert process.wait(int(service["TimeoutStopSec"])) == 0


def first_event(folder):
    url = "http://localhost/workers/events"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(folder / "gunicorn.sock"))
        # gunicorn says that it is ready, and listens, before its workers import the application.
        with LiveStream(url, connection=sock, timeout=START_DEADLINE) as stream:
            return next(stream).event


def test_compose():
    """Everything it mounts, copies and starts exists; the images are not run."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    app, nginx = compose["services"]["app"], compose["services"]["nginx"]
    files = [volume.split(":") for volume in nginx["volumes"] if volume.startswith("./")]
    assert ["./nginx.conf", "/etc/nginx/nginx.conf", "ro"] in files
    assert {volume.split(":")[0] for volume in (*app["volumes"], *nginx["volumes"])} == {
        *("data", "socket", "./nginx.conf", "./tls")
    }
    recipe = (DEPLOY / app["build"]["dockerfile"].removeprefix("deploy/")).read_text()
    for line in recipe.splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            *sources, _ = line.split()[1:]
            assert all((ROOT / source).exists() for source in sources), line
    command = yaml.safe_load(next(x for x in recipe.splitlines() if x.startswith("CMD "))[4:])
    unit = (DEPLOY / "sse-sync.service").read_text()
    assert shlex.split(unit.partition("ExecStart=")[2].splitlines()[0])[1:] == command[1:]
