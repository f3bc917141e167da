"""What to do where something that a test talks with is not installed."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from lab.errors import MissingProgramError


def absent(reason: str) -> None:
    """Skip what needs it; where `CI=true`, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need(require: Callable[[], None]) -> None:
    """Ask for a peer.

    Args:
        require: Raises MissingProgramError if it is not there.
    """
    try:
        require()
    except MissingProgramError as error:
        absent(str(error))
