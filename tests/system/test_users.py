"""Two users of one host: what the policy protects for one of them is never the other's, nor in the clear."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.process import until
from lab.topology import Sites, host
from support.clear_words import (
    NEEDLE,
    PATIENCE_S,
    SEND,
    config,
    dropped,
    gateway,
    receiving,
    send,
    words_on_the_wire,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces want root"),
    pytest.mark.timeout(600),
]

ALICE, BOB = 4242, 4243
TWENTY_WORDS = 20 * (20 + 8 + len(NEEDLE))
"""Octets of what `send` sends."""

POLICIES = """
  alice {{
    action = protect
    child = gw/net
    user = 4242
  }}
  others {{
    action = {others}
    local = 10.1.0.0/24
    remote = 10.2.0.0/24
  }}
"""
SEND_LONG = """
import socket, sys
words = sys.argv[2].encode()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(words + bytes(1900 - len(words)), (sys.argv[1], 7999))
"""
TAKE = """
import socket
server = socket.create_server(("", 7998))
print("ready", flush=True)
while True:
    taken, octets = server.accept()[0], 0
    while more := taken.recv(65536):
        octets += len(more)
    taken.sendall(str(octets).encode())
    taken.close()
"""
GIVE = """
import socket, sys
given = socket.create_connection((sys.argv[1], 7998), 60)
given.sendall(bytes(300_000))
given.shutdown(socket.SHUT_WR)
print(given.recv(100).decode())
"""


def octets_protected(daemon: Perilune) -> int:
    return sum(child.octets for child in daemon.child_sas("net"))


def as_user(sender: Namespace, user: int, script: str, *words: str) -> str:
    who = ("setpriv", "--reuid", str(user), "--clear-groups")
    return sender.run(*who, "python3", "-c", script, host(2), *words, timeout_s=PATIENCE_S).stdout


@contextmanager
def both(sites: Sites, directory: Path, others: str) -> Iterator[Perilune]:
    """Both daemons; that of site a does with everyone's packets but Alice's what is asked."""
    text = config(1, policies=POLICIES.format(others=others))
    with Perilune(sites.gateway_b, directory / "b", config(2)), gateway(sites, directory, text) as daemon:
        yield daemon


# covers R4301-4.4.1.1-8
def test_the_tunnel_is_one_user_s_alone(leaky_sites: Sites, tmp_path: Path) -> None:
    host_itself = leaky_sites.gateway_a

    def in_the_clear(sender: Namespace, user: int) -> int:
        source = "10.1.0.1" if sender is host_itself else ""
        return words_on_the_wire(leaky_sites, tmp_path, lambda: send(sender, host(2), user, source))

    def passes(sender: Namespace, user: int) -> None:
        until(lambda: in_the_clear(sender, user) > 0, PATIENCE_S, "words that are let by")

    with both(leaky_sites, tmp_path, "bypass") as daemon:
        with receiving(leaky_sites.host_b, tmp_path) as came:
            assert in_the_clear(host_itself, ALICE) == 0
            until(came, PATIENCE_S, "Alice's words")
            until(lambda: octets_protected(daemon) == TWENTY_WORDS, PATIENCE_S, "all of them")
        passes(host_itself, BOB)
        passes(leaky_sites.host_a, ALICE)  # a user of another host is nobody here
        assert octets_protected(daemon) == TWENTY_WORDS

        daemon.kill()
        assert in_the_clear(host_itself, ALICE) == 0
        assert dropped(daemon, "out", "alice") == 20
        passes(host_itself, BOB)
        passes(leaky_sites.host_a, ALICE)

        daemon.start()
        with receiving(leaky_sites.host_b, tmp_path) as came:
            assert in_the_clear(host_itself, ALICE) == 0
            until(came, PATIENCE_S, "Alice's words again")


def test_who_has_no_tunnel_has_nothing_where_policy_says_so(leaky_sites: Sites, tmp_path: Path) -> None:
    gateway_a, host_b = leaky_sites.gateway_a, leaky_sites.host_b

    def in_the_clear(user: int, script: str) -> int:
        return words_on_the_wire(leaky_sites, tmp_path, lambda: as_user(gateway_a, user, script, NEEDLE))

    with (
        both(leaky_sites, tmp_path, "discard"),
        host_b.spawn("taker", "python3", "-c", TAKE, log=tmp_path / "taker") as taker,
        receiving(host_b, tmp_path) as came,
    ):
        taker.wait_for_log("ready", PATIENCE_S)
        assert in_the_clear(BOB, SEND) == 0
        assert in_the_clear(BOB, SEND_LONG) == 0
        assert as_user(gateway_a, ALICE, GIVE).strip() == "300000"
        assert not came()
        assert in_the_clear(ALICE, SEND_LONG) == 0
        until(came, PATIENCE_S, "a datagram in fragments")


def test_a_user_is_named_while_the_daemon_runs(leaky_sites: Sites, tmp_path: Path) -> None:
    gateway_a = leaky_sites.gateway_a
    with both(leaky_sites, tmp_path, "discard") as daemon, receiving(leaky_sites.host_b, tmp_path) as came:
        daemon.config_path.write_text(daemon.config_path.read_text().replace("4242", "4243"))
        with daemon.control() as control:
            control.request("reload-settings")

        def bob_is_heard() -> bool:
            send(gateway_a, host(2), BOB)
            return came()

        until(bob_is_heard, PATIENCE_S, "Bob's words")
        assert words_on_the_wire(leaky_sites, tmp_path, lambda: send(gateway_a, host(2), ALICE)) == 0
