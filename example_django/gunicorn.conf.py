"""gunicorn -c example_django/gunicorn.conf.py"""

import os

wsgi_app = "example_django.wsgi:application"
bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
worker_class = "gevent"
# The examples keep their jobs in the process, so there is one.
workers = 1
# Streams and ordinary requests at the same time; a tenth is left to the latter.
worker_connections = 1000


def when_ready(server):
    server.log.info("The Django examples are on http://%s/", bind)
