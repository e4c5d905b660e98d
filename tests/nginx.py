"""A real nginx with the configuration of deploy/, on free ports, with a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess

from tests.live.servers import ROOT, free_port
from tests.tls import make_certificate
from tests.waiting import wait_for


def listens(port):
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Nginx:
    """A context manager: nginx in front of a unix socket."""

    def __init__(self, folder, upstream):
        self.folder = folder
        self.upstream = upstream
        self.port, self.other_port, self.plain_port = (free_port() for _ in range(3))
        self.process = None

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    def configuration(self):
        """deploy/nginx.conf with the paths and ports of this test."""
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        temporary = "".join(
            f" {kind}_temp_path {self.folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        for old, new in {
            "/run/sse-sync/gunicorn.sock": str(self.upstream),
            "/run/nginx.pid": f"{self.folder}/nginx.pid",
            "/var/log/nginx/": f"{self.folder}/",
            "/etc/ssl/sse-sync/": f"{self.folder}/",
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            # Two ports are two origins.
            "listen 443 ssl http2;": "".join(
                f"listen 127.0.0.1:{port} ssl http2;" for port in (self.port, self.other_port)
            ),
            "sendfile on;": f"sendfile on;{temporary}",
        }.items():
            assert old in text
            text = text.replace(old, new)
        return text

    def client_context(self):
        """The TLS context of a client that trusts this nginx."""
        return ssl.create_default_context(cafile=str(self.folder / "fullchain.pem"))

    def __enter__(self):
        make_certificate(self.folder / "fullchain.pem", self.folder / "privkey.pem")
        path = self.folder / "nginx.conf"
        path.write_text(self.configuration())
        # Its workers have to reach the socket in this folder.
        rights = "user root; " if os.geteuid() == 0 else ""
        with (self.folder / "stderr.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["nginx", "-p", self.folder, "-c", path, "-g", f"daemon off; {rights}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        wait_for(self._is_up, "nginx")
        return self

    def __exit__(self, *exc_info):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def _is_up(self):
        assert self.process.poll() is None, (self.folder / "stderr.log").read_text()
        return listens(self.port)


class PlainNginx:
    """A context manager: nginx as most people have it, in front of a port."""

    def __init__(self, folder, upstream, version):
        self.folder, self.port = folder, free_port()
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind}; "
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root; " if os.geteuid() == 0 else ""
        self._configuration = f"""
            {user}
            daemon off; pid {folder}/plain.pid; error_log {folder}/plain.log;
            events {{ }}
            http {{
                access_log off; {temporary}
                server {{
                    listen 127.0.0.1:{self.port};
                    location / {{
                        proxy_pass http://127.0.0.1:{upstream};
                        proxy_http_version {version};
                        proxy_set_header Connection "";
                    }}
                }}
            }}
        """

    def __enter__(self):
        path = self.folder / "plain.conf"
        path.write_text(self._configuration)
        self.process = subprocess.Popen(["nginx", "-p", self.folder, "-c", path])
        wait_for(lambda: listens(self.port), "nginx")
        return self

    def __exit__(self, *exc_info):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
