"""gunicorn -c deploy/gunicorn.conf.py app:app"""

import os

bind = os.environ.get("BIND", "unix:/run/sse-sync/gunicorn.sock")
# Streams that only relay channels then need neither a greenlet nor one of worker_connections.
worker_class = "sse_sync.gunicorn.GeventWorker"
# Several workers need a broker that reaches them all: SSE_BROKER_URL=redis://...
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
# Simultaneous requests and generator streams; a tenth is reserved for requests.
worker_connections = 2000
accesslog = "-"
# gunicorn 27 and newer would create a socket for its own tool in its user's home directory.
control_socket_disable = True
# Reloads and stops wait for requests, not for streams, whose clients are told when to reconnect.
graceful_timeout = 30
