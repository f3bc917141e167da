"""Two sites, one of them with a daemon, and words that are looked for in the clear."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.capture import tap
from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.topology import Sites, outer

CONFIG = """
connections {{
  gw {{
    local_addrs = {here}
    remote_addrs = {there}
    proposals = aes256gcm16-prfsha256-x25519
    local {{
      id = site-{site}
      auth = psk
    }}
    remote {{
      id = site-{other}
      auth = psk
    }}
    children {{
      net {{
        local_ts = 10.{site}.0.0/24
        remote_ts = 10.{other}.0.0/24
        esp_proposals = aes256gcm16
        start_action = {start_action}
      }}
      {more}
    }}
  }}
}}
secrets {{
  ike-gw {{
    secret = "{phrase}"
  }}
}}
daemon {{
  retransmit_timeout = 0.5
  retransmit_tries = 5
  {daemon}
}}
"""

PATIENCE_S = 120.0
NEEDLE = "words that only a tunnel may carry"
SEND = """
import contextlib, socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind((sys.argv[3], int(sys.argv[4])) if sys.argv[3:] else ("", 0))
for _ in range(20):
    with contextlib.suppress(PermissionError):  # the host's own boundary says so to who sends
        sender.sendto(sys.argv[2].encode(), (sys.argv[1], 7999))
"""
RECEIVE = """
import socket, sys
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", 7999))
print("ready", flush=True)
while True:
    print(receiver.recv(2000).decode(), flush=True)
"""


def config(
    site: int,
    start_action: str = "none",
    *,
    more: str = "",
    daemon: str = "",
    policies: str = "",
    phrase: str = "twelve moons",
) -> str:
    """Return the configuration of a site's gateway, which protects what goes to the other site.

    Args:
        site: 1 is a, 2 is b.
        start_action: Of the only child, `net`.
        more: Other children.
        daemon: Lines of the section `daemon`.
        policies: Lines of the section `policies`.
        phrase: The secret that both sites have to have.
    """
    values = {"site": site, "other": 3 - site, "here": outer(site), "there": outer(3 - site)}
    text = CONFIG.format(start_action=start_action, more=more, daemon=daemon, phrase=phrase, **values)
    return f"{text}policies {{\n{policies}\n}}\n" if policies else text


@contextmanager
def gateway(sites: Sites, directory: Path, text: str) -> Iterator[Perilune]:
    """A daemon at site a, whose boundary is gone behind it."""
    daemon = Perilune(sites.gateway_a, directory / "a", text)
    try:
        with daemon:
            yield daemon
    finally:
        daemon.remove_boundary()
        print(f"--- a\n{daemon.log()[-6000:]}")  # noqa: T201 - shown if it fails


def send(sender: Namespace, target: str, user: int = 0, source: str = "", port: int = 0) -> None:
    """Send the words twenty times, from an address and a port of the sender's."""
    who = ("setpriv", "--reuid", str(user), "--clear-groups") if user else ()
    sender.run(*who, "python3", "-c", SEND, target, NEEDLE, source, str(port), timeout_s=PATIENCE_S)


@contextmanager
def receiving(namespace: Namespace, directory: Path) -> Iterator[Callable[[], bool]]:
    """Let a host take the words, and tell whether they came."""
    log = directory / f"receiver-{namespace.name}"
    with namespace.spawn("receiver", "python3", "-c", RECEIVE, log=log) as child:
        child.wait_for_log("ready", PATIENCE_S)
        yield lambda: NEEDLE in child.log()


def words_on_the_wire(sites: Sites, directory: Path, act: Callable[[], object]) -> int:
    """Do something; return how often the words came by on the wire.

    What is sent behind it, to where nobody protects anything, shows that everything before was seen.
    """
    marker = "the end of the capture"
    log = directory / f"wire-{os.urandom(3).hex()}"
    with tap(sites.gateway_b, "wire", log, (NEEDLE, marker)) as wire:
        act()
        sites.gateway_a.run("python3", "-c", SEND, outer(2), marker, timeout_s=PATIENCE_S)
        overheard = wire.finish()
    assert overheard.seen[marker] > 0
    return overheard.seen[NEEDLE]


def dropped(daemon: Perilune, way: str, policy: str = "gw/net") -> int:
    """Return how many packets of a policy the boundary has dropped."""
    done = daemon.command("boundary", "show", "--json", timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    rules: list[dict[str, Any]] = json.loads(done.stdout)["rules"]
    return sum(rule["packets"] for rule in rules if (rule["way"], rule["policy"]) == (way, policy))
