"""Configuration text, as people and programs write it."""

from __future__ import annotations

from contextlib import suppress

from perilune.config.load import load_text
from perilune.config.problems import InvalidConfigError
from perilune.config.syntax import parse
from perilune.config.tree import render
from perilune.model.errors import ConfigError


def run(data: bytes) -> None:
    """Read a text as a daemon would, and write its tree again."""
    text = data.decode("utf-8", "replace")
    with suppress(InvalidConfigError):
        assert load_text(text) == load_text(text)
    with suppress(ConfigError):
        rendered = render(parse(text))
        assert render(parse(rendered)) == rendered
