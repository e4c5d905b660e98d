"""gunicorn's own HTTP/2, in releases that support it without TLS."""

import socket

import h2.config
import h2.connection
import h2.events
import pytest

from tests.live.servers import READY

WORKERS = ["gunicorn-gevent-flask", "gunicorn-gthread-django"]


@pytest.mark.parametrize("name", WORKERS)
def test_http_2(start, key, name):
    """Where a stream would block its whole connection, it is refused, and the log says why."""
    server = start(name, "--http-protocols=h2,h1", "--http2-cleartext=both")
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    for number, path in ((1, f"/stream/sleeping?key={key}"), (3, "/plain")):
        names = {":method": "GET", ":path": path, ":scheme": "http", ":authority": "localhost"}
        client.send_headers(number, [*names.items()], end_stream=True)
    sock.sendall(client.data_to_send())
    status, ended = {}, set()
    while len(ended) < 2:
        for event in client.receive_data(sock.recv(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                status[event.stream_id] = dict(event.headers)[":status"]
            elif isinstance(event, h2.events.StreamEnded):
                ended.add(event.stream_id)
    assert status == {1: "505", 3: "200"}
    sock.close()
    assert "event stream refused: gunicorn serves" in server.output()
    with server.stream(f"/stream/sleeping?key={key}") as stream:
        assert next(stream) == READY
