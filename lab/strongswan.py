"""strongSwan in a namespace: charon with its ESP in user space, so that no kernel support is needed.

Each has its own settings, socket and log, and sees its own empty /run, so several run at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.daemon import IkeDaemon
from lab.errors import MissingProgramError
from lab.namespace import Namespace
from lab.process import PATIENCE_S, Child

CHARON = Path("/usr/sbin/charon-systemd")
PLUGINS = Path("/usr/lib/ipsec/plugins")
ESP_PLUGIN = PLUGINS / "libstrongswan-kernel-libipsec.so"

WANTED_PLUGINS = (
    "random nonce aes sha1 sha2 hmac kdf gcm openssl curve25519 gmp chapoly ctr ccm pem pkcs1 pkcs8 x509 "
    "pubkey drbg md5 xcbc cmac gcrypt kernel-libipsec kernel-netlink socket-default vici"
)

SETTINGS = """\
charon-systemd {{
  plugins {{
{plugins}
    vici {{
      socket = {socket}
    }}
  }}
  load_modular = yes
  install_virtual_ip = no
  journal {{
    default = -1
  }}
  filelog {{
    out {{
      path = {log}
      flush_line = yes
{levels}    }}
  }}
{settings}
}}
swanctl {{
  load =
}}
"""


def strongswan_conf(plugins: str, socket: str, log: Path, levels: Mapping[str, int], more: str = "") -> str:
    """Return a strongswan.conf for charon-systemd.

    Args:
        plugins: Names of those to load.
        socket: URI of its VICI socket.
        log: Its log file.
        levels: How much each part of charon logs, -1 to 4; `default` is all others.
        more: Further lines for the daemon.
    """
    return SETTINGS.format(
        plugins="".join(f"    {name} {{\n      load = yes\n    }}\n" for name in plugins.split()),
        socket=socket,
        log=log,
        levels="".join(f"      {part} = {level}\n" for part, level in levels.items()),
        settings=more,
    )


def require_strongswan() -> None:
    """Make sure that everything of strongSwan that we use is there.

    Raises:
        MissingProgramError: With the Debian package to install.
    """
    if not CHARON.exists():
        raise MissingProgramError(str(CHARON), "charon-systemd")
    if not shutil.which("swanctl"):
        raise MissingProgramError("swanctl", "strongswan-swanctl")
    if not ESP_PLUGIN.exists():
        raise MissingProgramError(ESP_PLUGIN.name, "libcharon-extra-plugins")
    if not (PLUGINS / "libstrongswan-chapoly.so").exists():
        raise MissingProgramError("libstrongswan-chapoly.so", "libstrongswan-extra-plugins")


class StrongSwan(IkeDaemon):
    """charon-systemd with kernel-libipsec.

    Args:
        namespace: Where it runs.
        directory: Its own.
        config: Text of its swanctl.conf.
        settings: Lines of strongswan.conf for the daemon, such as `cookie_threshold = 1`.
        filelog_level: How much it logs about IKE and its configuration, -1 to 4.

    Raises:
        MissingProgramError: A part of strongSwan is not installed.
    """

    kind = "strongSwan"

    def __init__(
        self,
        namespace: Namespace,
        directory: Path,
        config: str,
        settings: str = "",
        filelog_level: int = 2,
    ) -> None:
        require_strongswan()
        super().__init__(namespace, directory)
        self.config_path = directory / "swanctl.conf"
        self.config_path.write_text(config)
        self._settings_path = directory / "strongswan.conf"
        self._log_path = directory / "charon.log"
        self._settings_path.write_text(
            strongswan_conf(
                plugins=WANTED_PLUGINS,
                socket=f"unix://{self.socket_path}",
                log=self._log_path,
                levels={"default": min(filelog_level, 1), "ike": filelog_level, "cfg": filelog_level},
                more=settings,
            )
        )

    def _environment(self) -> dict[str, str]:
        return {"STRONGSWAN_CONF": str(self._settings_path)}

    def _spawn(self) -> Child:
        log = self.directory / "output"
        return self.namespace.spawn(self.kind, str(CHARON), log=log, env=self._environment())

    def _load(self) -> None:
        self.swanctl("--load-all", "--file", str(self.config_path))

    def swanctl(self, command: str, *words: str, timeout_s: float = PATIENCE_S) -> str:
        """Run strongSwan's own command against it and return what it printed."""
        argv = ("swanctl", command, "--uri", f"unix://{self.socket_path}", *words)
        done = self.namespace.run(*argv, timeout_s=timeout_s, env=self._environment())
        return done.stdout

    def load_key(self, pem: str) -> None:
        """Give it a private key; those that it loads for itself are in a directory for the whole machine."""
        with self.control() as control:
            control.request("load-key", type="any", data=pem)

    def log(self) -> str:
        """Everything that charon has logged so far."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def tail(self, lines: int = 40) -> str:
        """The end of charon's log."""
        return os.linesep.join(self.log().splitlines()[-lines:])
