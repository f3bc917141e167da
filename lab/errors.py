"""What can go wrong in the laboratory itself, as opposed to what is examined in it."""

from __future__ import annotations


class LabError(Exception):
    """The laboratory could not do its part: a command failed, or a program did not get ready in time."""


class MissingProgramError(LabError):
    """A program that this needs is not installed.

    Args:
        program: What was looked for.
        package: The Debian package that has it.
    """

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed (Debian package {package})")
        self.program = program
        self.package = package
