"""`python -m spec`: a table of requirements and the tests that show them; fails where one is missing."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from spec.trace import Report, Requirement, trace

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Print the report.

    Returns:
        1 if a requirement is not accounted for or a comment or exception is wrong, otherwise 0.
    """
    parser = argparse.ArgumentParser(prog="python -m spec", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--missing", action="store_true", help="print only what nothing accounts for")
    options = parser.parse_args()
    report = trace(ROOT)
    if options.json:
        print(json.dumps(_as_json(report), indent=1))  # noqa: T201 - its output
    else:
        _print_tables(report, only_missing=options.missing)
    return 1 if report.missing or report.mistakes else 0


def _as_json(report: Report) -> dict[str, object]:
    return {
        "requirements": [
            {
                "id": requirement.id,
                "level": requirement.level,
                "text": requirement.text,
                "tests": [f"{cover.place} {cover.test}" for cover in report.covers.get(requirement.id, [])],
                "exception": report.exceptions.get(requirement.id),
                "sum_of": [part.id for part in report.parts(requirement)],
            }
            for requirement in report.requirements
        ],
        "mistakes": list(report.mistakes),
    }


def _print_tables(report: Report, *, only_missing: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    missing = {requirement.id for requirement in report.missing}
    for rfc in sorted({requirement.rfc for requirement in report.requirements}):
        table = Table("requirement", "in short", "shown by", title=f"RFC {rfc}")
        for requirement in report.requirements:
            if requirement.rfc != rfc or (only_missing and requirement.id not in missing):
                continue
            text = f"{requirement.level} {requirement.text}"
            table.add_row(requirement.id, text, _account(report, requirement))
        if table.row_count:
            console.print(table)
    for mistake in report.mistakes:
        console.print(mistake, style="red")
    shown = sum(requirement.id in report.covers for requirement in report.requirements)
    sums = sum(bool(requirement.sum_of) for requirement in report.requirements)
    console.print(
        f"{len(report.requirements)} requirements: {shown} shown by tests, {sums} sums of others,"
        f" {len(report.exceptions)} exceptions, {len(missing)} not accounted for"
    )


def _account(report: Report, requirement: Requirement) -> str:
    if requirement.sum_of:
        missing = sum(requirement.sums(other) for other in report.missing)
        text = f"sum of {len(report.parts(requirement))} requirements"
        return f"{text}, [red]{missing} of them without account[/red]" if missing else text
    if requirement.id in report.covers:
        return "\n".join(cover.test for cover in report.covers[requirement.id])
    if requirement.id in report.exceptions:
        return f"exception: {report.exceptions[requirement.id]}"
    return "[red]nothing[/red]"


if __name__ == "__main__":
    sys.exit(main())
