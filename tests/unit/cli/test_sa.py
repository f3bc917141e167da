"""`perilune sa` against a node that answers on a real control socket."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perilune.cli.exit_codes import ExitCode
from perilune.cli.main import main
from perilune.model.spi import Spi
from support.nodes import ExampleNode, serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return run_command


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExampleNode]:
    example = ExampleNode()
    monkeypatch.setenv("PERILUNE_URI", f"unix://{tmp_path}/vici")
    with serving(example, tmp_path / "vici"):
        yield example


def test_every_sa_has_a_line_with_its_policy(run: Run, node: ExampleNode) -> None:
    code, out, err = run("sa", "show")
    assert (code, err) == (ExitCode.DONE, "")
    for text in ("gw/net", "out", "0xc0ffee02", "ESP tunnel in UDP", "AES_CBC-128", "installed"):
        assert text in out


def test_one_policy_is_shown_in_full(run: Run, node: ExampleNode) -> None:
    code, out, _ = run("sa", "show", "net")
    assert code == ExitCode.DONE
    words = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert words["soft-packets"] == ["5"]
    assert words["hard-time"] == ["1", "h"]
    assert words["bytes"] == ["77000", "(75", "KiB)"]
    assert words["remote-ts"] == ["10.2.0.0/16"]
    assert words["df"] == ["copy"]


@pytest.mark.parametrize("spi", ["0xc0ffee02", "C0FFEE02"])
def test_one_sa_is_found_by_its_spi(run: Run, node: ExampleNode, spi: str) -> None:
    code, out, _ = run("sa", "show", spi, "--json")
    assert code == ExitCode.DONE
    assert [one["spi"] for one in json.loads(out)] == ["0xc0ffee02"]


def test_an_spi_may_be_written_as_in_the_configuration(
    run: Run, node: ExampleNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = node.sad
    monkeypatch.setattr(ExampleNode, "sad", [replace(one, spi=Spi(0x1001))])
    for spi in ("0x1001", "0X1001", "0x00001001", "00001001"):
        code, out, _ = run("sa", "show", spi, "--json")
        assert (code, [sa["spi"] for sa in json.loads(out)]) == (ExitCode.DONE, ["0x00001001"])
    assert run("sa", "show", "1001")[0] == ExitCode.REFUSED


def test_json_has_everything(run: Run, node: ExampleNode) -> None:
    _, out, _ = run("sa", "show", "gw/net", "--json")
    (one,) = json.loads(out)
    assert one["policy"] == "gw/net"
    assert (one["sequence"], one["packets"], one["bytes"]) == ("77", "77", "77000")
    assert (one["path-mtu"], one["path-mtu-left"], one["path-mtu-age"]) == ("1380", "90", "600")
    assert one["local-ts"] == ["10.1.0.0/16"]
    assert not any("key" in name for name in one)


def test_an_sa_that_is_not_there(run: Run, node: ExampleNode) -> None:
    code, _, err = run("sa", "show", "moon")
    assert code == ExitCode.REFUSED
    assert "there is no SA 'moon'" in err


def test_settings_are_handed_over(run: Run, node: ExampleNode) -> None:
    code, out, _ = run("sa", "add", "mine", "spi=0x1000", "mode = transport")
    assert (code, out) == (ExitCode.DONE, "mine is added\n")
    assert node.added == {"mine": {"spi": "0x1000", "mode": "transport"}}
    assert run("sa", "del", "mine")[:2] == (ExitCode.DONE, "mine is removed\n")
    assert node.added == {}


def test_keys_need_not_be_arguments(run: Run, node: ExampleNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("encryption_key = 0x0102\n\nspi = 300\n"))
    run("sa", "add", "mine", "-")
    assert node.added == {"mine": {"encryption_key": "0x0102", "spi": "300"}}


def test_what_is_refused_is_told(run: Run, node: ExampleNode) -> None:
    code, _, err = run("sa", "add", "there", "spi=300")
    assert (code, err) == (ExitCode.REFUSED, "perilune: there is an SA 'there' already\n")
    code, _, err = run("sa", "del", "nowhere")
    assert (code, err) == (ExitCode.REFUSED, "perilune: there is no SA 'nowhere' with manual keys\n")


def test_a_key_without_its_name_is_not_told(run: Run, node: ExampleNode) -> None:
    code, _, err = run("sa", "add", "mine", "0x0123456789")
    assert (code, err) == (ExitCode.WRONG_USE, "perilune: a setting is KEY=VALUE\n")
