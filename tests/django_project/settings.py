"""Settings of the Django project of the tests."""

import os
from pathlib import Path

SECRET_KEY = "test"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.django_project.urls"
WSGI_APPLICATION = "tests.django_project.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "sse_sync.django",
]
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("TEST_DATABASE", Path(__file__).with_name("db.sqlite3")),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
USE_TZ = True

SSE_SYNC = {
    "HEARTBEAT": float(os.environ.get("TEST_HEARTBEAT", "0.3")),
    "RETRY": 1234,
    "BROKER_URL": os.environ.get("TEST_BROKER_URL", "memory://"),
}
if "TEST_WRITE_TIMEOUT" in os.environ:
    SSE_SYNC["WRITE_TIMEOUT"] = float(os.environ["TEST_WRITE_TIMEOUT"])
if "TEST_LIFETIME" in os.environ:
    SSE_SYNC["LIFETIME"] = float(os.environ["TEST_LIFETIME"])
if "TEST_JOB_GRACE" in os.environ:
    SSE_SYNC["JOB_GRACE"] = float(os.environ["TEST_JOB_GRACE"])

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(name)s %(levelname)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {"sse_sync": {"handlers": ["console"], "level": "INFO"}},
}
