"""The whole: what a configuration may hold."""

from __future__ import annotations

from perilune.config.schema.connection import CONNECTIONS
from perilune.config.schema.daemon import DAEMON
from perilune.config.schema.manual_sa import MANUAL_SAS
from perilune.config.schema.policy import POLICIES
from perilune.config.schema.secret import SECRETS
from perilune.config.schema.section import SectionSchema

ROOT = SectionSchema(
    "",
    "Sections at the top. Another one may stand there if some section inherits from it.",
    sections=(CONNECTIONS, SECRETS, POLICIES, MANUAL_SAS, DAEMON),
    unsupported_sections=("pools", "authorities"),
)
"""The top of a file."""
