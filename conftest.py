"""Settings for every test: laws are checked on many examples, never against the clock."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from cssync.http import redaction

settings.register_profile("cssync", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cssync")


@pytest.fixture(autouse=True)
def _secrets_of_other_tests() -> Iterator[None]:
    """Forget after each test what it had redacted: one test's secret is another's ordinary word."""
    yield
    redaction._known.clear()
    redaction._forms.clear()
    redaction._pattern = None
