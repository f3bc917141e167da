"""What a namespace of the laboratory is like from the start."""

from __future__ import annotations

import os

import pytest

from lab.namespace import cable, namespaces

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        reason = "namespaces want root"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def test_a_cable_has_its_link_local_addresses() -> None:
    """A router whose address is still tentative drops what it should ask a neighbour's address for."""
    with namespaces("one", "other") as (one, other):
        cable(one, "wire", other, "wire")
        for namespace in (one, other):
            shown = namespace.ip("-6", "address", "show", "dev", "wire")
            assert "fe80:" in shown
            assert "tentative" not in shown
