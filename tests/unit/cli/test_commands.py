"""The command line against a node that answers on a real control socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perilune.agent.node import ChosenSas
from perilune.cli.exit_codes import ExitCode
from perilune.cli.main import main
from perilune.ike.events import DownReason, IkeSaDown, Refused, Retransmitted
from perilune.model.iana import ExchangeType
from support.nodes import CONFIG, IKE, ExampleNode, serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command; return exit code, standard output and standard error."""
    monkeypatch.delenv("PERILUNE_URI", raising=False)

    def run_command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        assert "Traceback" not in captured.err
        return ended.value.code, captured.out, captured.err

    return run_command


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[ExampleNode]:
    example = ExampleNode()
    monkeypatch.setenv("PERILUNE_URI", f"unix://{tmp_path}/vici")
    with serving(example, tmp_path / "vici"):
        yield example


def test_status_is_a_table(run: Run, node: ExampleNode) -> None:
    code, out, err = run("status")
    assert (code, err) == (ExitCode.DONE, "")
    for text in ("gw #1 ESTABLISHED", "AES_GCM_16-256", "10.2.0.0/16", "59 min", "voice", "seen before"):
        assert text in out


def test_status_is_json(run: Run, node: ExampleNode) -> None:
    code, out, _ = run("status", "--json")
    document = json.loads(out)
    assert code == ExitCode.DONE
    assert document["ike_sas"][0]["children"][0]["spi_in"] == "c0ffee01"
    assert document["down"] == ["gw/voice", "road/any"]
    assert document["drops"] == [
        {"name": "replay", "text": "The sequence number was seen before.", "packets": 12}
    ]


# covers R4301-4.4.1-2
def test_policies_are_a_table_in_their_order(run: Run, node: ExampleNode) -> None:
    code, out, err = run("policies")
    assert (code, err) == (ExitCode.DONE, "")
    for text in ("gw/net", "protect", "10.1.0.0/16", "10.2.0.0/16", "c0ffee02"):
        assert text in out


def test_policies_name_their_sas_in_json(run: Run, node: ExampleNode) -> None:
    code, out, _ = run("policies", "--json")
    (entry,) = json.loads(out)
    assert code == ExitCode.DONE
    assert (entry["place"], entry["name"], entry["order"], entry["sa_count"]) == (1, "gw/net", 200_129, 2)
    assert {(sa["direction"], sa["spi"]) for sa in entry["sas"]} == {("in", "c0ffee01"), ("out", "c0ffee02")}


def test_policies_without_overlaps(run: Run, node: ExampleNode) -> None:
    code, out, _ = run("policies", "--decorrelated", "--json")
    assert code == ExitCode.DONE
    ways = [(piece["name"], piece["direction"], piece["local"]) for piece in json.loads(out)]
    assert set(ways) == {("gw/net", "out", "10.1.0.0/16"), ("gw/net", "in", "10.1.0.0/16")}


def test_rekey(run: Run, node: ExampleNode) -> None:
    code, out, _ = run("rekey", "--ike", "gw")
    assert (code, out) == (ExitCode.DONE, "1 being rekeyed\n")
    assert node.done == [("rekey", ChosenSas(ike="gw"))]


def test_initiate_that_cannot_begin_says_why(run: Run, node: ExampleNode) -> None:
    node.cannot = "there is no route to 192.0.2.2"
    code, _, err = run("initiate", "--child", "net")
    assert (code, err) == (ExitCode.REFUSED, "perilune: there is no route to 192.0.2.2\n")


def test_initiate_that_fails_says_why_once(run: Run, node: ExampleNode) -> None:
    refused = Refused(ike=IKE, what="IKE SA", by_peer=True, notify="NO_PROPOSAL_CHOSEN", why="KE differs")
    node.happenings = (
        Retransmitted(IKE, ExchangeType.IKE_AUTH, 1, 1),
        refused,
        IkeSaDown(IKE, DownReason.REFUSED),
    )
    code, out, err = run("initiate", "--child", "net")
    assert (code, out) == (ExitCode.REFUSED, "")
    assert err.count("KE differs") == 1
    assert "retransmission 1" in err
    assert err.endswith("perilune: net is not up\n")


def test_socket_may_be_given_as_a_path(run: Run, node: ExampleNode, tmp_path: Path) -> None:
    assert run("status", "--json", "--uri", f"{tmp_path}/vici")[0] == ExitCode.DONE


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--json"),
        ("initiate", "--child", "net"),
        ("terminate", "--ike", "gw"),
        ("rekey", "--child-id", "1"),
        ("log",),
    ],
)
def test_daemon_that_is_not_there(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    code, out, err = run(*words, "--uri", f"unix://{tmp_path}/nobody")
    assert (code, out) == (ExitCode.NO_DAEMON, "")
    sentence, hint = err.splitlines()
    assert sentence == f"perilune: no daemon listens on {tmp_path}/nobody"
    assert "perilune run" in hint


def test_something_else_that_listens(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "other"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(10)

        def answer() -> None:
            with listening.accept()[0] as peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        code, _, err = run("status", "--uri", str(path))
        thread.join(10)
    assert code == ExitCode.NO_DAEMON
    assert "does not speak VICI" in err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("frobnicate",), 2, "No such command"),
        (("status", "--jsno"), 2, "No such option"),
        (("status", "extra"), 2, "unexpected extra argument"),
        (("status", "--uri", "http://192.0.2.1/"), 2, "is no control socket"),
        (("status", "--uri", "relative/path"), 2, "is no control socket"),
        (("status", "--uri", "unix://[::1/vici"), 2, "is no control socket"),
        (("status", "--uri", "unix:///run/" + "n" * 103), 2, "a socket's path has at most 107 octets"),
        (("run", "-c", "/dev/null", "--uri", "/run/" + "n" * 103), 2, "a socket's path has at most 107"),
        (("initiate",), 2, "which SAs"),
        (("initiate", "--child", "nte"), 1, "(did you mean 'net'?)"),
        (("initiate", "--child", "net", "--ike", "road"), 1, "of connection 'road'"),
        (("initiate", "--child", "net", "--timeout", "-1"), 2, "is no number of seconds"),
        (("initiate", "--child", "net", "--timeout", "soon"), 2, "not a valid float"),
        (("initiate", "--child", "net", "--timeout", "nan"), 2, "is no number of seconds"),
        (("terminate",), 2, "which SAs"),
        (("terminate", "--ike-id", "one"), 2, "not a valid integer"),
        (("terminate", "--ike-id", "0"), 2, "--ike-id"),
        (("terminate", "--ike", "moonbase"), 1, "there is no such SA now; there is 'gw'"),
        (("rekey", "--child", "voice"), 1, "there is no such SA now; there is 'net'"),
        (("check",), 2, "Missing argument"),
        (("check", "/does/not/exist"), 2, "does not exist"),
        (("check", "/"), 2, "is a directory"),
        (("run",), 2, "Missing option"),
        (("run", "-c", "/does/not/exist"), 2, "does not exist"),
        (("run", "-c", "/dev/null", "--log-level", "loud"), 2, "is not one of"),
        (("initiate", "--child", "n" * 70000), 2, "longer than 65535"),
    ],
)
def test_wrong_use_is_explained(
    run: Run, node: ExampleNode, words: tuple[str, ...], code: int, message: str
) -> None:
    got, _, err = run(*words)
    assert message in err
    assert got == code


def test_help_names_every_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == ExitCode.DONE
    for command in ("audit", "boundary", "check", "initiate", "log", "rekey", "run", "status", "terminate"):
        assert f"\n  {command} " in out


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_watched_status_reaches_a_pipe_at_once_and_ends_with_its_reader(
    node: ExampleNode, options: tuple[str, ...]
) -> None:
    words = [sys.executable, "-m", "perilune", "status", "--watch", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        try:
            assert watching.stdout.readline() != b""
            watching.stdout.close()
            assert watching.wait(20) == ExitCode.DONE
            assert watching.stderr.read() == b""
        finally:
            watching.kill()


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == ExitCode.DONE
    assert out.startswith("perilune, version ")


def test_check_shows_what_the_file_means(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "good.conf"
    file.write_text(CONFIG)
    code, out, _ = run("check", str(file))
    assert code == ExitCode.DONE
    for text in ("gw", "192.0.2.2", "moon - sun", "10.1.0.0/16", "trap", "%any", "can be used"):
        assert text in out
    assert "eyes of a test" not in out


def test_check_shows_texts_as_they_are(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "[b]odd.conf"
    text = CONFIG.replace("gw {", "gw[/b] {").replace("sun", "[red]:a:[/]")
    file.write_text(
        text.replace("local_ts = 10.1.0.0/16", "local_ts = 2001:db8:100::/48[tcp/22], 10.1.0.0/16")
    )
    code, out, err = run("check", str(file))
    assert code == ExitCode.DONE
    assert "connections.gw[/b].children.net.local_ts: nothing" in err
    for shown in ("gw[/b]", "2001:db8:100::/48[tcp/22]", "[b]odd.conf can be used"):
        assert shown in out


def test_check_tells_what_needs_no_tunnel(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "pass.conf"
    file.write_text(CONFIG.replace("local_ts = 10.1.9.0/24", "mode = pass\n local_ts = 10.1.9.0/24"))
    assert "passes" in run("check", str(file))[1]


def test_check_shows_policies_and_manual_keys_too(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "manual.conf"
    file.write_text(
        "policies { phones { action = bypass\ndirection = out\nremote = 10.7.0.0/24\ntos = 0xb8/0xfc\n} }\n"
        "sas { sun { spi = 0x1001\nlocal_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nprotocol = ah\n"
        f"proposal = sha256\nintegrity_key = 0x{'a5' * 32}\n}} }}\n"
    )
    code, out, _ = run("check", str(file))
    assert code == ExitCode.DONE
    for text in ("phones", "bypass out", "10.7.0.0/24", "tos = 0xb8/0xfc"):
        assert text in out
    for text in ("sun", "0x00001001", "AH tunnel", "192.0.2.1", "192.0.2.2/32"):
        assert text in out
    assert "connection" not in out
    assert "a5a5" not in out


def test_check_tells_every_mistake(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.conf"
    file.write_text(CONFIG.replace("remote_addrs", "remote_adrs").replace("start_action", "strat_action"))
    code, _, err = run("check", str(file))
    assert code == ExitCode.WRONG_USE
    first, second = err.splitlines()
    assert f"{file}:5: connections.gw.remote_adrs: " in first
    assert "did you mean 'remote_addrs'?" in first
    assert "did you mean 'start_action'?" in second


def test_run_with_a_wrong_file_ends_before_it_begins(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.conf"
    file.write_text("connections {\n")
    code, _, err = run("run", "-c", str(file))
    assert code == ExitCode.WRONG_USE
    assert str(file) in err
