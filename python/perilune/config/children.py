"""`connections.<conn>.children.<child>` to a `ChildPolicy`."""

from __future__ import annotations

from perilune.config.child_form import read_form
from perilune.config.insecure import check_insecure
from perilune.config.reader import Reader
from perilune.config.schema import child as keys
from perilune.config.schema import child_form as form_keys
from perilune.config.schema.section import Key, OptionalKey
from perilune.databases.child_form import ChildForm
from perilune.databases.pad import ChildPolicy, ChildSelector, DynamicSelector
from perilune.databases.processing import Mode
from perilune.databases.sad import Lifetime, Limits
from perilune.databases.spd import Action
from perilune.model.proposal import Proposal
from perilune.model.selector import ANY_PROTOCOL
from perilune.model.time import ZERO, Duration

_DEFAULT_REKEY_TIME = Duration.seconds(3600)
_BOTH = frozenset({4, 6})

_MOST_SELECTORS = 254
"""A payload counts to 255 (RFC 7296, section 3.13), and a packet's own selector may go before them."""


def read_child(reader: Reader) -> ChildPolicy:
    """Return what a child may be; mistakes are noted at the reader's problems."""
    mode = reader.get(form_keys.MODE)
    local_ts, remote_ts = reader.get(keys.LOCAL_TS), reader.get(keys.REMOTE_TS)
    _check_selectors(reader, local_ts, remote_ts)
    if mode is Mode.BEET:
        _check_single(reader, keys.LOCAL_TS, local_ts)
        _check_single(reader, keys.REMOTE_TS, remote_ts)
    rekey_time, life_time, rand_time = _times(reader)
    rekey_octets, life_octets, rand_octets = _counts(
        reader, keys.REKEY_BYTES, keys.LIFE_BYTES, keys.RAND_BYTES
    )
    rekey_packets, life_packets, rand_packets = _counts(
        reader, keys.REKEY_PACKETS, keys.LIFE_PACKETS, keys.RAND_PACKETS
    )
    return ChildPolicy(
        name=reader.name,
        action=mode if isinstance(mode, Action) else Action.PROTECT,
        proposals=_proposals(reader) if isinstance(mode, Mode) else (),
        form=read_form(reader, mode) if isinstance(mode, Mode) else ChildForm(),
        allow_insecure=reader.get(keys.ALLOW_INSECURE),
        local_ts=local_ts,
        remote_ts=remote_ts,
        lifetime=Lifetime(
            soft=Limits(octets=rekey_octets or None, packets=rekey_packets or None, time=rekey_time or None),
            hard=Limits(octets=life_octets or None, packets=life_packets or None, time=life_time or None),
        ),
        rand_time=rand_time,
        rand_octets=rand_octets,
        rand_packets=rand_packets,
        start_action=reader.get(keys.START_ACTION),
        close_action=reader.get(keys.CLOSE_ACTION),
        dpd_action=reader.get(keys.DPD_ACTION),
        replay_window_packets=reader.get(keys.REPLAY_WINDOW),
        icmp_errors=reader.get(keys.ICMP_ERRORS),
        priority=reader.get(keys.PRIORITY) or None,
        peers=reader.find(keys.PEERS_KEY) or (),
    )


def _proposals(reader: Reader) -> tuple[Proposal, ...]:
    """Return those for ESP, unless only AH is asked for, then those for AH."""
    ah = check_insecure(reader, keys.AH_PROPOSALS_KEY, allowed=keys.ALLOW_INSECURE)
    if ah and not reader.has(keys.ESP_PROPOSALS_KEY):
        if reader.get(form_keys.TFC_PADDING):
            reader.error("AH has no padding", form_keys.TFC_PADDING)
        if reader.get(form_keys.DUMMY_RATE):
            reader.error("AH has no dummy packets", form_keys.DUMMY_RATE)
        return ah
    return check_insecure(reader, keys.ESP_PROPOSALS_KEY, allowed=keys.ALLOW_INSECURE) + ah


def _times(reader: Reader) -> tuple[Duration, Duration, Duration]:
    """Return rekey_time, life_time and rand_time; zero is none."""
    rekey, life = reader.find(keys.REKEY_TIME), reader.find(keys.LIFE_TIME)
    if rekey is None:
        rekey = _DEFAULT_REKEY_TIME
        if life and life < rekey * 1.1:
            rekey = Duration(life.ns * 10 // 11)
    if life is None:
        life = Duration(rekey.ns * 11 // 10)
    rand = reader.find(keys.RAND_TIME)
    _check_order(reader, bool(life) and life < rekey, keys.LIFE_TIME, keys.REKEY_TIME)
    if rand is None:
        rand = Duration(max(0, life.ns - rekey.ns)) if rekey else ZERO
    _check_order(reader, bool(rekey) and rekey < rand, keys.REKEY_TIME, keys.RAND_TIME)
    return rekey, life, rand


def _counts(
    reader: Reader, rekey_key: Key[int], life_key: OptionalKey[int], rand_key: OptionalKey[int]
) -> tuple[int, int, int]:
    """Return the soft limit, the hard one and the range of chance, of octets or packets; 0 is none."""
    rekey = reader.get(rekey_key)
    life = reader.find(life_key)
    if life is None:
        life = rekey * 11 // 10
    rand = reader.find(rand_key)
    _check_order(reader, 0 < life < rekey, life_key, rekey_key)
    if rand is None:
        rand = max(0, life - rekey) if rekey else 0
    _check_order(reader, 0 < rekey < rand, rekey_key, rand_key)
    return rekey, life, rand


def _check_order(
    reader: Reader,
    wrong: bool,
    greater: Key[Duration] | OptionalKey[Duration] | Key[int] | OptionalKey[int],
    less: Key[Duration] | OptionalKey[Duration] | Key[int] | OptionalKey[int],
) -> None:
    if wrong:
        reader.error(f"{greater.name} is less than {less.name}", greater if reader.has(greater) else less)


def _check_selectors(
    reader: Reader, local_ts: tuple[ChildSelector, ...], remote_ts: tuple[ChildSelector, ...]
) -> None:
    """Note selectors that no message holds, or of which no pair can have a packet in common."""
    for key, selectors in ((keys.LOCAL_TS, local_ts), (keys.REMOTE_TS, remote_ts)):
        if len(selectors) > _MOST_SELECTORS:
            reader.error(f"{len(selectors)} selectors are more than the {_MOST_SELECTORS} of a message", key)
            return
    pairs = [(local, remote) for local in local_ts for remote in remote_ts]
    if not any(_families(local) & _families(remote) for local, remote in pairs):
        reader.error("local_ts and remote_ts have no address family in common", keys.REMOTE_TS)
        return
    protocols = [{local.protocol, remote.protocol} for local, remote in pairs]
    if not any(ANY_PROTOCOL in both or len(both) == 1 for both in protocols):
        reader.error("local_ts and remote_ts have no protocol in common", keys.REMOTE_TS)
        return
    for key, ours, theirs in ((keys.LOCAL_TS, local_ts, remote_ts), (keys.REMOTE_TS, remote_ts, local_ts)):
        for one in ours:
            if not any(_families(one) & _families(other) for other in theirs):
                reader.warn(f"nothing at the other end is of the family of {one}", key)


def _check_single(
    reader: Reader, key: Key[tuple[ChildSelector, ...]], selectors: tuple[ChildSelector, ...]
) -> None:
    """Note selectors of BEET mode that only a peer can make those of one address."""
    ends = {
        (one.first_address, one.last_address) for one in selectors if not isinstance(one, DynamicSelector)
    }
    if len(ends) > 1 or any(first != last for first, last in ends):
        reader.warn(
            "mode beet is between two addresses: only a peer can begin, which names one of these", key
        )


def _families(selector: ChildSelector) -> frozenset[int]:
    return _BOTH if isinstance(selector, DynamicSelector) else frozenset({selector.version})
