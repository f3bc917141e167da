"""The files of keys beside a configuration, in the directories that swanctl has for them."""

from __future__ import annotations

from collections.abc import Iterator
from glob import escape
from pathlib import Path as FilePath

from perilune.config.files import Files
from perilune.config.reader import Reader
from perilune.config.schema.secret import KEY_FILE, KEY_SECTIONS, PASSPHRASE
from perilune.crypto.keys import KeyFileError, PrivateKey, PublicKey
from perilune.model.errors import ConfigError

PUBLIC_DIRECTORY = "pubkey"
PRIVATE_DIRECTORIES = ("private", "rsa", "ecdsa", "pkcs8")


class KeyFiles:
    """Reads keys; a private one is looked for when it is needed.

    Args:
        directory: Where the configuration is; None where it came from no file.
        files: Where text comes from.
    """

    def __init__(self, directory: FilePath | None, files: Files) -> None:
        self._directory = directory
        self._files = files
        self._named: dict[FilePath, PrivateKey] = {}
        self._found: dict[FilePath, PrivateKey | str] = {}
        """What the directories hold, or why it is no key: to read an RSA key takes half a second."""

    def read_secrets(self, secrets: Reader) -> None:
        """Read the private keys that the section `secrets` names, and note what is wrong with them."""
        for schema, directory in zip(KEY_SECTIONS, PRIVATE_DIRECTORIES, strict=True):
            for section in secrets.sections(schema):
                self._read_secret(section, directory)

    def _read_secret(self, section: Reader, directory: str) -> None:
        name = section.find(KEY_FILE)
        if name is None:
            section.error("'file' is missing: the name of a private key's file")
            return
        try:
            path = self._path(directory, name)
            passphrase = section.find(PASSPHRASE)
            self._named[path] = PrivateKey.read(self._files.read(path), passphrase)
        except ConfigError as error:
            section.error(_at(error.file, error.message), KEY_FILE)
        except KeyFileError as error:
            section.error(_at(path, str(error)), KEY_FILE)

    def public(self, name: str) -> PublicKey:
        """Return the public key of a file, by its path or its name in the directory `pubkey`.

        Raises:
            ConfigError: It cannot be read, or holds no key that can be used.
        """
        path = self._path(PUBLIC_DIRECTORY, name)
        try:
            return PublicKey.read(self._files.read(path))
        except ConfigError as error:
            raise ConfigError(_at(error.file, error.message)) from error
        except KeyFileError as error:
            raise ConfigError(_at(path, str(error))) from error

    def private_of(self, public: PublicKey) -> PrivateKey:
        """Return the private key of a public one.

        Raises:
            ConfigError: No file holds it; those that hold a key that cannot be read are named.
        """
        unreadable: list[str] = []
        for path in self._private_files():
            key = self._named.get(path) or self._private(path)
            if isinstance(key, str):
                unreadable.append(_at(path, key))
            elif key.public == public:
                return key
        where = ", ".join(f"{name}/" for name in PRIVATE_DIRECTORIES)
        why = "; ".join([f"the private key of {public} is in none of {where}", *unreadable])
        raise ConfigError(why)

    def _private(self, path: FilePath) -> PrivateKey | str:
        if path not in self._found:
            try:
                self._found[path] = PrivateKey.read(self._files.read(path))
            except ConfigError as error:
                self._found[path] = error.message
            except KeyFileError as error:
                self._found[path] = str(error)
        return self._found[path]

    def _private_files(self) -> Iterator[FilePath]:
        yield from self._named
        if self._directory is not None:
            for name in PRIVATE_DIRECTORIES:
                yield from self._files.matching(f"{escape(str(self._directory / name))}/*")

    def _path(self, directory: str, name: str) -> FilePath:
        path = FilePath(name)
        if path.is_absolute():
            return path
        if self._directory is None:
            raise ConfigError(f"{name}: a relative path needs a configuration that is a file")
        return self._directory / directory / path


def _at(path: FilePath | None, why: str) -> str:
    return f"{path}: {why}" if path else why
