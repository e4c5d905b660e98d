"""Settings of the examples: as few as Django needs."""

import os
import secrets
from pathlib import Path

PAGES = Path(__file__).resolve().parents[1] / "example_pages"

SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(32)
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ROOT_URLCONF = "example_django.urls"
WSGI_APPLICATION = "example_django.wsgi.application"
INSTALLED_APPS = ["sse_sync.django"]
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.common.CommonMiddleware",
]
USE_TZ = True

SSE_SYNC = {"HEARTBEAT": 15, "RETRY": 3000}
