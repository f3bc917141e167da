"""What several of these tests have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.topology import Sites, two_sites


@pytest.fixture(scope="module")
def leaky_sites() -> Iterator[Sites]:
    """Sites whose gateways send to the wire what they have no better route for."""
    with two_sites(leaky=True) as made:
        yield made
