"""Tokens to a tree (strongswan.conf(5), SYNTAX and REFERENCING OTHER SECTIONS).

```
settings := (section | key = value | include pattern)*
section  := name [: reference [, reference]*] { settings }
reference := name[.name]*
```
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath

from perilune.config.lexer import Token, TokenType, tokens
from perilune.config.tree import Place, Reference, Section, Value
from perilune.model.errors import ConfigError

DEEPEST_SECTION = 32
"""Sections within sections that a file may have; a connection's child needs four."""

Include = Callable[[str, Place, Section, int], None]
"""Adds what the files of a pattern say to a section.

It gets the pattern, the statement's place, the section and how many sections there are around it.
"""


def parse(text: str, file: FilePath | None = None) -> Section:
    """Read text that includes no other file.

    Raises:
        ConfigError: The text is not of this language, or includes a file.
    """
    root = Section("", Place(file, 1))
    parse_into(root, text, file, _refuse_include)
    return root


def parse_into(root: Section, text: str, file: FilePath | None, include: Include, depth: int = 0) -> None:
    """Add what a text says to a section.

    A value replaces an earlier one of the same name; a section continues it.

    Args:
        root: The section, which is the whole tree or the one that an `include` stands in.
        text: Contents of one file.
        file: Its name, for places.
        include: Called for each `include`, in order, with the section it stands in.
        depth: How many sections there are around `root`.

    Raises:
        ConfigError: The text is not of this language; `root` is left half filled.
    """
    try:
        _Parser(root, text, file, include, depth).run()
    except ConfigError as error:
        if error.file is not None or file is None:
            raise
        raise ConfigError(
            error.message, file=file, line=error.line, key=error.key, nearest=error.nearest
        ) from None


def _refuse_include(_pattern: str, place: Place, _section: Section, _depth: int) -> None:
    raise ConfigError("files are not included here", line=place.line)


class _Parser:
    """A text on its way into a tree: the open sections are a list, so depth costs no recursion."""

    def __init__(self, root: Section, text: str, file: FilePath | None, include: Include, depth: int) -> None:
        self._tokens = tokens(text)
        self._file = file
        self._include = include
        self._open = [root]
        self._depth = depth

    def run(self) -> None:
        """Read every statement."""
        while True:
            token = next(self._tokens)
            match token.type:
                case TokenType.NEWLINE:
                    continue
                case TokenType.NAME:
                    self._statement(token)
                case TokenType.INCLUDE:
                    self._include_here(token)
                case TokenType.CLOSE:
                    self._close(token)
                case TokenType.END:
                    break
                case _:
                    raise ConfigError("a key, a section, 'include' or '}' belongs here", line=token.line)
        if len(self._open) > 1:
            raise ConfigError("this section has no '}'", line=self._open[-1].place.line)

    def _statement(self, name: Token) -> None:
        token = next(self._tokens)
        if token.type is TokenType.EQUALS:
            value = next(self._tokens)
            self._open[-1].values[name.text or ""] = Value(value.text, self._place(name))
            return
        references: list[Reference] = []
        if token.type is TokenType.COLON:
            references, token = self._references()
        while token.type is TokenType.NEWLINE:
            token = next(self._tokens)
        if token.type is not TokenType.OPEN:
            raise ConfigError("'=' or '{' belongs behind a name", line=name.line)
        self._enter(name, references)

    def _enter(self, name: Token, references: list[Reference]) -> None:
        if self._depth + len(self._open) > DEEPEST_SECTION:
            raise ConfigError(f"sections are nested deeper than {DEEPEST_SECTION}", line=name.line)
        section = self._open[-1].open(name.text or "", self._place(name))
        known = {reference.path: reference for reference in section.references}
        for reference in references:
            known.setdefault(reference.path, reference)
        section.references = list(known.values())
        self._open.append(section)

    def _include_here(self, token: Token) -> None:
        depth = self._depth + len(self._open) - 1
        self._include(token.text or "", self._place(token), self._open[-1], depth)

    def _close(self, token: Token) -> None:
        if len(self._open) == 1:
            raise ConfigError("this '}' closes nothing", line=token.line)
        self._open.pop()

    def _references(self) -> tuple[list[Reference], Token]:
        """Read what stands behind a section's `:`; return it with the token behind it."""
        references: list[Reference] = []
        while True:
            reference, token = self._reference()
            references.append(reference)
            if token.type is not TokenType.COMMA:
                return references, token

    def _reference(self) -> tuple[Reference, Token]:
        path: list[str] = []
        while True:
            name = next(self._tokens)
            while name.type is TokenType.NEWLINE and not path:
                name = next(self._tokens)
            if name.type is not TokenType.NAME:
                raise ConfigError("the name of a section belongs behind ':', ',' or '.'", line=name.line)
            path.append(name.text or "")
            token = next(self._tokens)
            if token.type is not TokenType.DOT:
                return Reference(tuple(path), self._place(name)), token

    def _place(self, token: Token) -> Place:
        return Place(self._file, token.line)
