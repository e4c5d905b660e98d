"""Some modules of the fronts' tests need Django as they are imported."""

from tests.django_project import ready as ready
