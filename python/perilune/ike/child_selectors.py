"""The traffic selectors of a child between two ends, NATs between them included (RFC 7296, section 2.23.1).

In transport mode the addresses of a packet are those of the IKE SA's ends, and behind a NAT each side has
others of these in mind. So each side puts in those that it sees itself, before it compares anything:

```
 client IP1 --- NAT A --- IPN1 ... IPN2 --- NAT B --- IP2 server
 TSi = IP1, TSr = IPN2  -->    the server looks up IPN1 and IP2
                        <--    TSi = IPN1, TSr = IP2    the client installs IP1 and IPN2
```
"""

from __future__ import annotations

from dataclasses import replace

from perilune.databases.pad import ChildPolicy
from perilune.databases.processing import Mode
from perilune.dataplane.events import Flow
from perilune.ike.narrowing import Selectors, covers, narrow, only_address, resolve, with_address, with_flow
from perilune.ike.nat import Nat
from perilune.ike.policies import packet_selectors
from perilune.model.address import IpAddress, Path
from perilune.model.selector import TrafficSelector


def allowed_selectors(policy: ChildPolicy, path: Path) -> tuple[Selectors, Selectors]:
    """Return what a child allows at our end and at the other, between the ends of an IKE SA."""
    local = resolve(policy.local_ts, path.local.address)
    remote = resolve(policy.remote_ts, path.remote.address)
    if policy.form.mode is not Mode.TRANSPORT:
        return local, remote
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.23.1
    ##% For
    ##% transport mode, it MUST use exactly one IP address in the TSi and TSr
    ##% payloads.
    return _at(local, path.local.address), _at(remote, path.remote.address)


def selectors_to_offer(policy: ChildPolicy, path: Path, flow: Flow | None) -> tuple[Selectors, Selectors]:
    """Return TSi and TSr of a request for a child.

    Args:
        policy: The child.
        path: The way between the ends of the IKE SA.
        flow: The packet that wants the child; its own selectors go first.
    """
    local, remote = allowed_selectors(policy, path)
    if policy.form.mode is Mode.TRANSPORT and flow is not None:
        source, destination = packet_selectors(flow)
        flow = flow if covers(local, (source,)) and covers(remote, (destination,)) else None
    return with_flow(local, remote, flow)


def for_single_pair(policy: ChildPolicy, path: Path, flow: Flow) -> ChildPolicy:
    """Return a child between the two addresses of a packet alone, for a peer that wants it so.

    Args:
        policy: What was refused.
        path: The way between the ends of the IKE SA.
        flow: The packet that wants the child.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.9
    ##% The
    ##% requestor is expected to respond by requesting an SA for only the
    ##% specific traffic it is trying to forward.
    local, remote = allowed_selectors(policy, path)
    return replace(policy, local_ts=_at(local, flow.source), remote_ts=_at(remote, flow.destination))


def seen_from_here(nat: Nat, path: Path, local: Selectors, remote: Selectors) -> tuple[Selectors, Selectors]:
    """Return a peer's selectors for transport mode with the addresses that our packets have.

    Args:
        nat: Who is behind a NAT.
        path: The way between the ends of the IKE SA, as it is seen from here.
        local: The peer's selectors for our end; left alone unless they have one address.
        remote: The peer's selectors for its own end; same.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.23.1
    ##% - If the client is behind a NAT, substitute the IP address in the
    ##% TSi entries with the remote address of the IKE SA.
    ##%
    ##% - If the server is behind a NAT, substitute the IP address in the
    ##% TSr entries with the local address of the IKE SA.
    if nat.remote_behind and only_address(remote) is not None:
        remote = with_address(remote, path.remote.address)
    if nat.local_behind and only_address(local) is not None:
        local = with_address(local, path.local.address)
    return local, remote


def _at(selectors: Selectors, end: IpAddress) -> Selectors:
    """Return what selectors allow of one address; if that is nothing, all that they allow."""
    return narrow(selectors, (TrafficSelector(end, end),)) or selectors
