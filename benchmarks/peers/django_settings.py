"""Settings of the application with django-eventstream."""

SECRET_KEY = "benchmark"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.peers.django_eventstream_app"
INSTALLED_APPS = ["django_eventstream"]
