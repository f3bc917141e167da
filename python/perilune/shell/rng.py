"""Randomness from the kernel."""

from __future__ import annotations

import os

from perilune.model.errors import ResourceError


class KernelRng:
    """The kernel's generator; an `Rng`."""

    def octets(self, count: int) -> bytes:
        """Return `count` octets fit for keys.

        Raises:
            ResourceError: The kernel has none to give.
        """
        try:
            return os.urandom(count)
        except (NotImplementedError, OSError) as error:
            raise ResourceError(f"the system gives no random octets: {error}") from error
