"""Fetch a web page at a steady pace, and tell how far it is.

Usage: fetch.py URL OCTETS_PER_S

Prints the octets received so far after each tenth of a second, and a JSON object at the end.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import urllib.request

PIECES_PER_S = 50


def main() -> None:
    """Fetch it."""
    url, octets_per_s = sys.argv[1], int(sys.argv[2])
    digest, received = hashlib.sha256(), 0
    start = time.monotonic()
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310  # the caller's own URL
        while piece := answer.read(octets_per_s // PIECES_PER_S):
            digest.update(piece)
            received += len(piece)
            sys.stdout.write(f"{received}\n")
            sys.stdout.flush()
            time.sleep(max(0.0, start + received / octets_per_s - time.monotonic()))
    report = {"octets": received, "sha256": digest.hexdigest(), "seconds": time.monotonic() - start}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
