r"""Text to tokens, in the language of swanctl.conf (strongswan.conf(5), SYNTAX).

Outside of a value, a word is a name or `include`, and `{ } : , =` stand for themselves. Behind `=` a value
runs to the end of the line, to `}` or to `#`; its words are joined by one space, and what is quoted is kept
as it is, over several lines if need be, with `\n`, `\r`, `\t`, `\"`, `\\` and a backslash that takes the end
of its line away. No message quotes the text: it may be a secret that lost its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from perilune.model.errors import ConfigError


class TokenType(Enum):
    """What a token is."""

    NAME = auto()
    INCLUDE = auto()
    """`include`, with its pattern as the token's text."""

    EQUALS = auto()
    VALUE = auto()
    """Follows every EQUALS; without text where nothing stands there."""

    OPEN = auto()
    CLOSE = auto()
    COLON = auto()
    COMMA = auto()
    DOT = auto()
    NEWLINE = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text with its meaning."""

    type: TokenType
    line: int
    text: str | None = field(default=None, repr=False)


LONGEST_NAME = 255
"""Characters of a key or of a section's name."""

_MARKS = {
    "{": TokenType.OPEN,
    "}": TokenType.CLOSE,
    ":": TokenType.COLON,
    ",": TokenType.COMMA,
    ".": TokenType.DOT,
    "\n": TokenType.NEWLINE,
}
_BLANK = re.compile(r"[ \t\r]*(?:#[^\n]*)?")
_NAME = re.compile(r'[^.,:{}="# \t\r\n]+')
_INCLUDE = re.compile(r"include[ \t]+(?=[^=:{ \t\r\n])")
_PATTERN_PART = re.compile(r'\\["#} ]|[^"#} \t\r\n]')
_VALUE_WORD = re.compile(r'[^#}" \t\r\n]+')
_STRING_TEXT = re.compile(r'[^\\"]+')
_STRING_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\n": ""}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def tokens(text: str) -> Iterator[Token]:
    """Split text into tokens; the last one is END.

    Raises:
        ConfigError: The text is not of this language; it has the line but not the file.
    """
    control = _CONTROL.search(text)
    if control:
        line = text.count("\n", 0, control.start()) + 1
        raise ConfigError("control characters are no text; write one in a quoted value or in hex", line=line)
    return _Lexer(text).tokens()


class _Lexer:
    """A position in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def tokens(self) -> Iterator[Token]:
        """Yield every token from here to the end."""
        while True:
            self._skip(_BLANK)
            line = self._line
            include = self._skip(_INCLUDE)
            if include:
                yield Token(TokenType.INCLUDE, line, self._pattern())
                continue
            name = self._skip(_NAME)
            if name:
                if len(name) > LONGEST_NAME or not name.isprintable():
                    raise ConfigError(f"a name is at most {LONGEST_NAME} printable characters", line=line)
                yield Token(TokenType.NAME, line, name)
                continue
            if self._at == len(self._text):
                yield Token(TokenType.END, line)
                return
            yield from self._mark(line)

    def _mark(self, line: int) -> Iterator[Token]:
        mark = self._next()
        if mark == "=":
            yield Token(TokenType.EQUALS, line)
            yield Token(TokenType.VALUE, line, self._value())
        elif mark == '"':
            raise ConfigError("a quoted text is a value, and belongs behind 'key ='", line=line)
        else:
            yield Token(_MARKS[mark], line)

    def _skip(self, what: re.Pattern[str]) -> str:
        """Pass what stands here, if it does, and return it. It holds no end of line."""
        match = what.match(self._text, self._at)
        found = match.group() if match else ""
        self._at += len(found)
        return found

    def _next(self) -> str:
        """Pass one character and return it; empty at the end."""
        character = self._text[self._at : self._at + 1]
        self._at += len(character)
        self._line += character == "\n"
        return character

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _value(self) -> str | None:
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            if self._peek() == '"':
                parts.append(self._string())
                continue
            word = self._skip(_VALUE_WORD)
            if not word:
                return " ".join(parts) if parts else None
            parts.append(word)

    def _string(self) -> str:
        line = self._line
        self._next()
        parts: list[str] = []
        while True:
            plain = self._skip(_STRING_TEXT)
            self._line += plain.count("\n")
            parts.append(plain.replace("\r", ""))
            match self._next():
                case '"':
                    return "".join(parts)
                case "\\":
                    parts.append(self._escape())
                case _:
                    raise ConfigError("this quoted text has no end", line=line)

    def _escape(self) -> str:
        character = self._next()
        if character == "\r" and self._peek() == "\n":
            character = self._next()
        return _STRING_ESCAPES.get(character, character)

    def _pattern(self) -> str:
        """Read what an `include` names: quoted, or with blanks behind a backslash."""
        parts: list[str] = []
        while True:
            if self._peek() == '"':
                parts.append(self._string())
                continue
            part = self._skip(_PATTERN_PART)
            if not part:
                return "".join(parts)
            parts.append(part[-1])
