"""
Sets Django up in the process of the tests. Tests that need it import this; with the setting in
pyproject.toml, pytest-django would do it for the core, too.
"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django_project.settings")
django.setup()
