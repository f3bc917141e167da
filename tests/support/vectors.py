"""Published test vectors: a few in `tests/vectors`, many more in a folder beside the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors"
"""Vectors that are part of the repository."""

SHARED = Path(__file__).parents[3] / "shared" / "vectors"
"""The larger collection; tests that read it are skipped where it does not exist."""

Json = Any


def printed(name: str) -> Json:
    """Return the contents of a file of `tests/vectors`."""
    return json.loads((VECTORS / name).read_text())


def shared(name: str) -> Json | None:
    """Return the contents of a file of the larger collection, or None where there is no collection."""
    return json.loads((SHARED / name).read_text()) if SHARED.exists() else None


def shared_rfc(name: str) -> list[Json]:
    """Return the vectors of an RFC, or none where there is no collection."""
    document = shared(f"rfc/{name}.json")
    return document["vectors"] if document else []


def wycheproof(name: str) -> list[Json]:
    """Return the tests of a Wycheproof file, each with its group's fields, or none without the collection."""
    document = shared(f"wycheproof/{name}.json")
    groups = document["testGroups"] if document else []
    return [{**group, **test} for group in groups for test in group["tests"]]
