"""A page with tables: those of a run take the place of the older ones.

A table lies between two comments, `<!-- measured: NAME -->` and `<!-- end of NAME -->`; the machine's
description is such a place too, named `machine`.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.report import tables
from benchmarks.results import Results
from lab.errors import LabError


def renew(page: Path, results: Results, settings: str) -> list[str]:
    """Write what a run found into a page.

    Args:
        page: The page; a place without a table in this run stays as it is.
        results: Of the run.
        settings: Its rounds and times, in words.

    Returns:
        Names of the places that were renewed.

    Raises:
        LabError: The page has none of the places.
    """
    found = {table.name: table.markdown() for table in tables(results)}
    found["machine"] = f"{describe()}; {settings}\n"
    if results.versions:
        found["versions"] = "".join(f"- {name}: {text}\n" for name, text in results.versions.items() if text)
    text, renewed = replace(page.read_text(), found)
    if not renewed:
        raise LabError(f"{page} has no place for a table of this run")
    page.write_text(text)
    return renewed


def replace(text: str, found: dict[str, str]) -> tuple[str, list[str]]:
    """Put new content into the places that the text has for it.

    Returns:
        The new text, and the names of the places.
    """
    renewed = []
    for name, content in found.items():
        begin, end = f"<!-- measured: {name} -->\n", f"<!-- end of {name} -->\n"
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if place.search(text):
            before, after = place.split(text, maxsplit=1)
            text = f"{before}{begin}\n{content}\n{end}{after}"
            renewed.append(name)
    return text, renewed
