"""All that is wrong with a configuration, told at once."""

from __future__ import annotations

from collections.abc import Sequence

from perilune.config.tree import Place
from perilune.model.errors import ConfigError


class InvalidConfigError(ConfigError):
    """Everything that is wrong, one line each.

    Its file, line, key and nearest are those of the first.

    Args:
        errors: At least one.
    """

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(
            first.message, file=first.file, line=first.line, key=first.key, nearest=first.nearest
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


class Problems:
    """Collects errors and warnings while a configuration is read."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, int, str], ConfigError] = {}
        self._warnings: dict[tuple[str, int, str], ConfigError] = {}

    def error(self, message: str, place: Place, key: str, nearest: str | None = None) -> None:
        """Note what cannot be used; what is inherited several times is noted once."""
        _note(self._errors, message, place, key, nearest)

    def warn(self, message: str, place: Place, key: str) -> None:
        """Note what can be used and is seldom meant."""
        _note(self._warnings, message, place, key, None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings in the order of file and line."""
        return tuple(str(self._warnings[where]) for where in sorted(self._warnings))

    def raise_errors(self) -> None:
        """Raise what was noted.

        Raises:
            InvalidConfigError: There was an error, or several.
        """
        if self._errors:
            raise InvalidConfigError([self._errors[where] for where in sorted(self._errors)])


def _note(
    known: dict[tuple[str, int, str], ConfigError], message: str, place: Place, key: str, nearest: str | None
) -> None:
    where = (str(place.file or ""), place.line, message)
    known.setdefault(where, ConfigError(message, file=place.file, line=place.line, key=key, nearest=nearest))
