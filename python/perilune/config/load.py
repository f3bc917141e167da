"""The way in: a file to `Settings`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath

from perilune.config.connections import read_connection
from perilune.config.credentials import check_secrets, read_secret
from perilune.config.daemon import read_daemon
from perilune.config.files import Files, SystemFiles
from perilune.config.includes import read_tree
from perilune.config.key_files import KeyFiles
from perilune.config.manual_sas import check_together, read_manual_sa
from perilune.config.policies import read_policies
from perilune.config.problems import InvalidConfigError, Problems
from perilune.config.reader import Reader
from perilune.config.references import referenced, resolve
from perilune.config.schema.connection import CONNECTION, CONNECTIONS
from perilune.config.schema.daemon import DAEMON
from perilune.config.schema.manual_sa import MANUAL_SA, MANUAL_SAS
from perilune.config.schema.policy import POLICIES, POLICY
from perilune.config.schema.root import ROOT
from perilune.config.schema.secret import IKE_SECRET, SECRETS
from perilune.config.schema.section import SectionSchema
from perilune.config.settings import DaemonSettings, Settings
from perilune.config.syntax import parse
from perilune.config.tree import Section
from perilune.databases.manual import ManualSa
from perilune.databases.pad import PadEntry
from perilune.model.errors import ConfigError


def load(path: FilePath | str, files: Files | None = None) -> Settings:
    """Read a configuration and everything it includes.

    Args:
        path: The file; relative paths start at the working directory.
        files: Where text comes from, this machine if None.

    Raises:
        InvalidConfigError: It cannot be used; all that is wrong is told at once.
    """
    path, files = FilePath(path), files or SystemFiles()
    with _as_invalid():
        tree = read_tree(path, files)
    return _settings_of(tree, KeyFiles(path.parent, files))


def load_text(text: str) -> Settings:
    """Read a configuration that includes no file; keys are at absolute paths.

    Raises:
        InvalidConfigError: It cannot be used; all that is wrong is told at once.
    """
    with _as_invalid():
        tree = parse(text)
    return _settings_of(tree, KeyFiles(None, SystemFiles()))


def _settings_of(tree: Section, keys: KeyFiles) -> Settings:
    problems = Problems()
    with _as_invalid():
        resolved = _without_templates(tree)
    root = Reader(resolved, ROOT, problems)
    daemons = root.sections(DAEMON)
    daemon = read_daemon(daemons[0]) if daemons else DaemonSettings()
    secrets = tuple(
        secret
        for section in root.sections(SECRETS)
        for reader in section.sections(IKE_SECRET)
        if (secret := read_secret(reader)) is not None
    )
    for section in root.sections(SECRETS):
        keys.read_secrets(section)
    readers = _all_of(root, CONNECTIONS, CONNECTION)
    connections = tuple(read_connection(reader, daemon, keys) for reader in readers)
    for reader, connection in zip(readers, connections, strict=True):
        check_secrets(reader, connection, secrets)
    _check_names(readers, connections)
    policies = read_policies(_all_of(root, POLICIES, POLICY), connections, daemon)
    sas = _manual_sas(root, daemon)
    problems.raise_errors()
    return Settings(
        connections=connections,
        secrets=secrets,
        policies=policies,
        sas=sas,
        daemon=daemon,
        warnings=problems.warnings,
    )


def _all_of(root: Reader, outer: SectionSchema, inner: SectionSchema) -> list[Reader]:
    return [one for section in root.sections(outer) for one in section.sections(inner)]


def _manual_sas(root: Reader, daemon: DaemonSettings) -> tuple[ManualSa, ...]:
    readers = _all_of(root, MANUAL_SAS, MANUAL_SA)
    sas = [read_manual_sa(reader, daemon) for reader in readers]
    check_together(readers, sas)
    return tuple(sa for sa in sas if sa is not None)


@contextmanager
def _as_invalid() -> Iterator[None]:
    """Turn an error that ends all reading into the one that callers see."""
    try:
        yield
    except ConfigError as error:
        raise InvalidConfigError([error]) from error


def _without_templates(tree: Section) -> Section:
    """Return a tree without references, and without the sections that are there only to inherit from."""
    own = {one.name for one in ROOT.sections} | set(ROOT.unsupported_sections)
    resolved = resolve(tree)
    for name in referenced(tree) - own:
        resolved.sections.pop(name, None)
    return resolved


def _check_names(readers: list[Reader], connections: tuple[PadEntry, ...]) -> None:
    """Warn of children that share a name, which a command then has to tell apart by the connection."""
    first: dict[str, str] = {}
    for reader, connection in zip(readers, connections, strict=True):
        for child in connection.children:
            other = first.setdefault(child.name, connection.name)
            if other != connection.name:
                reader.warn(f"child '{child.name}' has the name of a child of connection '{other}'")
