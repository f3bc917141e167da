"""What a runtime refuses before it opens anything."""

from __future__ import annotations

import pytest

from perilune.dataplane.runtime import Runtime, RuntimeSettings
from perilune.model.errors import LocalError


@pytest.mark.parametrize("workers", [0, 65])
def test_a_number_of_workers_that_cannot_be_is_refused(workers: int) -> None:
    with pytest.raises(LocalError, match=f"1 to 64 workers, not {workers}"):
        Runtime(RuntimeSettings(workers=workers))
