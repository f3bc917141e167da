"""Settings for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The same examples in every run: a red test stays red. `make property` looks for new ones.
settings.register_profile(
    "test", derandomize=True, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("test")
