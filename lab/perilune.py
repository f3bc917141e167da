"""Our own daemon in a namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab.daemon import IkeDaemon
from lab.namespace import Namespace
from lab.process import PATIENCE_S, Child


class Perilune(IkeDaemon):
    """`perilune run` with a configuration of its own.

    Args:
        namespace: Where it runs.
        directory: Its own.
        config: Text of its configuration file.
        log_level: Of its log.
        key_log: Directory for Wireshark's key files, or None for none.
    """

    kind = "perilune"

    def __init__(
        self,
        namespace: Namespace,
        directory: Path,
        config: str,
        log_level: str = "info",
        key_log: Path | None = None,
    ) -> None:
        super().__init__(namespace, directory)
        self.config_path = directory / "perilune.conf"
        self.config_path.write_text(config)
        self._options = ["--log-level", log_level]
        if key_log is not None:
            self._options += ["--key-log", str(key_log)]

    @property
    def uri(self) -> str:
        """For the option `--uri`."""
        return f"unix://{self.socket_path}"

    def _spawn(self) -> Child:
        words = ["run", "-c", str(self.config_path), "--uri", self.uri, *self._options]
        log = self.directory / "log"
        return self.namespace.spawn(self.kind, sys.executable, "-m", "perilune", *words, log=log)

    def _load(self) -> None:
        """Do nothing: its command line named the configuration."""

    def stop(self) -> int:
        """Let it end, and let everything pass again: what comes next in this namespace may be another daemon.

        Returns:
            Its exit code.
        """
        code = super().stop()
        self.remove_boundary()
        return code

    def remove_boundary(self) -> None:
        """Let everything pass in the clear, where the daemon's boundary forbids it."""
        self.namespace.run("nft", "delete", "table", "inet", "perilune", check=False)

    def command(self, *words: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """Run `perilune WORDS` against it, as a user would."""
        argv = (sys.executable, "-m", "perilune", *words)
        env = {"PERILUNE_URI": self.uri}
        return self.namespace.run(*argv, timeout_s=timeout_s, check=False, env=env)
