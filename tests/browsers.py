"""Real browsers, headless: Debian's Chromium and Firefox, with one interface for both."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import websocket
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.live.servers import free_port
from tests.waiting import wait_for

START_DEADLINE = 60.0


class Browser:
    """A browser with one page. A context manager."""

    name: str

    def open(self, url: str) -> None:
        """Load a page, and wait until it is loaded."""
        raise NotImplementedError

    def run(self, script: str, *arguments: Any, timeout: float = 60.0) -> Any:
        """
        Run the body of an asynchronous function in the page; return what it returns.

        The body finds the arguments in ``arguments`` and may use ``await``. Arguments and result
        are JSON values.
        """
        raise NotImplementedError

    def errors(self) -> list[str]:
        """
        Return the console's errors since the last call.

        When an EventSource gets 204, Firefox reports a failed connection; Chromium reports
        nothing.
        """
        raise NotImplementedError

    def screenshot(self) -> bytes:
        """Return the visible part of the page, as PNG."""
        raise NotImplementedError

    def quit(self) -> None:
        """End it."""
        raise NotImplementedError

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.quit()


class Chromium(Browser):
    """Chromium, through its chromedriver; ``driver`` is Selenium's."""

    name = "chromium"

    def __init__(self, folder: Path) -> None:
        options = ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        options.accept_insecure_certs = True  # Those that tests make for localhost.
        for flag in (
            *("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
            *("disable-background-networking", "disable-component-update", "disable-sync"),
            *("disable-dev-shm-usage", f"user-data-dir={folder}"),
        ):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # An outgoing connection may take the port that Selenium chooses before chromedriver does.
        service = ChromeService("/usr/bin/chromedriver", port=free_port())
        self.driver = Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(START_DEADLINE)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def run(self, script: str, *arguments: Any, timeout: float = 60.0) -> Any:
        self.driver.set_script_timeout(timeout)
        return self.driver.execute_script(
            f"return (async function () {{ {script} }}).apply(null, arguments)", *arguments
        )

    def errors(self) -> list[str]:
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self) -> bytes:
        return self.driver.get_screenshot_as_png()

    def quit(self) -> None:
        self.driver.quit()


class Firefox(Browser):
    """
    Firefox, through its own WebDriver BiDi: Debian has no geckodriver.

    With its remote agent on, Firefox turns off by itself what would call home.
    """

    name = "firefox"

    def __init__(self, folder: Path) -> None:
        self._errors: list[str] = []
        self._last_id = 0
        self._process = subprocess.Popen(
            [
                *("/usr/bin/firefox-esr", "--headless", "--no-remote", "about:blank"),
                *("--profile", str(folder), "--remote-debugging-port", "0"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port = wait_for(lambda: _port_of(folder), "Firefox to listen", START_DEADLINE)
            self._socket = websocket.create_connection(
                f"ws://127.0.0.1:{port}/session", timeout=START_DEADLINE, suppress_origin=True
            )
            # For the certificates that tests make for localhost.
            self.call("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
            self.call("session.subscribe", events=["log.entryAdded"])
            (page,) = self.call("browsingContext.getTree")["contexts"]
            self._page = page["context"]
        except BaseException:
            self._kill()
            raise

    def new_tab(self) -> str:
        """Open a tab, switch to it, and return its handle."""
        self._page = self.call("browsingContext.create", type="tab")["context"]
        return self._page

    def switch_to(self, tab: str) -> None:
        """Switch to a tab."""
        self._page = tab

    def open(self, url: str) -> None:
        self.call("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def run(self, script: str, *arguments: Any, timeout: float = 60.0) -> Any:
        function = f"""async (text) => JSON.stringify(
            await (async function () {{ {script} }}).apply(null, JSON.parse(text)) ?? null)"""
        answer = self.call(
            "script.callFunction",
            timeout=timeout,
            functionDeclaration=function,
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            target={"context": self._page},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise AssertionError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def errors(self) -> list[str]:
        self.call("session.status")  # What came before its answer has been read, too.
        errors, self._errors = self._errors, []
        return errors

    def screenshot(self) -> bytes:
        answer = self.call("browsingContext.captureScreenshot", context=self._page)
        return base64.b64decode(answer["data"])

    def quit(self) -> None:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self.call("browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._socket.close()
        self._kill()

    def call(self, method: str, *, timeout: float = START_DEADLINE, **params: Any) -> Any:
        """Send a command of WebDriver BiDi; return its result."""
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": params}
        self._socket.settimeout(timeout)
        self._socket.send(json.dumps(command))
        while True:
            message = json.loads(self._socket.recv())
            if message["type"] == "event":
                self._note(message["params"])
            elif message["id"] == self._last_id:
                break
        if message["type"] == "error":
            raise AssertionError(f"{method}: {message['error']}: {message['message']}")
        return message["result"]

    def _note(self, entry: dict[str, Any]) -> None:
        if entry["level"] == "error":
            self._errors.append(entry["text"])

    def _kill(self) -> None:
        # It leads a process group of its own, so its children are reached by its id.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)


def _port_of(folder: Path) -> int | None:
    # Firefox writes where it listens into its profile.
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "WebDriverBiDiServer.json").read_text())["ws_port"]
    return None


BROWSERS = {browser.name: browser for browser in (Chromium, Firefox)}
