"""gunicorn -c deploy/gunicorn.conf.py app:app"""

import os

bind = os.environ.get("BIND", "unix:/run/sse-sync/gunicorn.sock")
# Streams that only relay channels need neither a greenlet nor a connection of the worker's.
worker_class = "sse_sync.gunicorn.GeventWorker"
# Several need a broker that reaches them all: SSE_BROKER_URL=redis://...
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
# Requests, and streams of generators, at the same time; a tenth is left to the former.
worker_connections = 2000
accesslog = "-"
# gunicorn 27 and newer would make a socket for its own tool in the home of its user.
control_socket_disable = True
# Reloads and stops wait for requests, not for streams: these are told when to come back.
graceful_timeout = 30
