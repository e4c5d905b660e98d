"""gunicorn -c example_flask/gunicorn.conf.py"""

import os

port = int(os.environ.get("PORT", "8000"))

wsgi_app = "example_flask.app:create_app()"
# Two ports are two origins, for the pages that read a stream of another origin.
bind = [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]
worker_class = "sse_sync.gunicorn.GeventWorker"
# Several workers need SSE_BROKER_URL=redis://…
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
# Simultaneous streams and requests; a tenth is reserved for requests.
worker_connections = 1000


def when_ready(server):
    server.log.info("The Flask examples are on http://%s/ and on the next port", bind[0])
