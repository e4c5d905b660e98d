"""
Settings of the examples: as few as Django needs.

Environment variables:

SSE_BROKER_URL    the broker; several workers need redis://
SSE_CORS_ORIGINS  other origins whose pages may read the streams, separated by commas
DATABASE          the database file
ALLOWED_HOSTS     host names of the site, separated by commas
"""

import os
import secrets
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent / "example_pages"
PORT = int(os.environ.get("PORT", "8000"))
# gunicorn.conf.py listens on two ports, so that you can try it with a second origin.
ORIGINS = ",".join(
    f"http://{host}:{port}" for host in ("127.0.0.1", "localhost") for port in (PORT, PORT + 1)
)

SECRET_KEY = os.environ.get("SECRET_KEY") or secrets.token_urlsafe(32)
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
ROOT_URLCONF = "example_django.urls"
WSGI_APPLICATION = "example_django.wsgi.application"
INSTALLED_APPS = ["example_django", "sse_sync.django"]
# There is no log-in here, and no cookies; a site with cookies needs CsrfViewMiddleware.
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.common.CommonMiddleware",
    "example_django.workers.middleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", HERE / "django.sqlite3"),
    }
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PAGES / "fragments"],
    }
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "level": "WARNING"}},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

SSE_SYNC = {
    "BROKER_URL": os.environ.get("SSE_BROKER_URL", "memory://"),
    "CORS_ORIGINS": os.environ.get("SSE_CORS_ORIGINS", ORIGINS).split(","),
}
