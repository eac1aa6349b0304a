"""Settings for every test: laws are checked on many examples, never against the clock."""

from hypothesis import HealthCheck, settings

settings.register_profile("cssync", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cssync")
