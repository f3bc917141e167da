"""VICI's events about SAs: `ike-updown`, `child-updown`, `ike-rekey`, `child-rekey`."""

from __future__ import annotations

from perilune.agent.node import Node
from perilune.agent.vici.codec import Tree
from perilune.agent.vici.describe import describe_child_sa, describe_ike_sa_briefly
from perilune.ike.events import (
    ChildSaDown,
    ChildSaRekeyed,
    ChildSaUp,
    IkeEvent,
    IkeSaDown,
    IkeSaRekeyed,
    IkeSaUp,
)
from perilune.ike.names import ChildName, IkeName
from perilune.model.spi import format_ike_spi


def name_of_news(event: IkeEvent) -> str | None:
    """Return the name of the VICI event for something that happened; None where VICI has none."""
    match event:
        case IkeSaUp() | IkeSaDown():
            return "ike-updown"
        case IkeSaRekeyed():
            return "ike-rekey"
        case ChildSaUp() | ChildSaDown():
            return "child-updown"
        case ChildSaRekeyed():
            return "child-rekey"
    return None


def news_of(event: IkeEvent, node: Node) -> Tree:
    """Return the message of the VICI event for something that happened; empty where VICI has none."""
    match event:
        case IkeSaUp(ike=ike) | IkeSaDown(ike=ike):
            return _up(event) | {ike.connection: _ike(ike, node)}
        case IkeSaRekeyed(ike=ike, new=new):
            return {ike.connection: {"old": _ike(ike, node), "new": _ike(new, node)}}
        case ChildSaUp(ike=ike, child=child) | ChildSaDown(ike=ike, child=child):
            return _up(event) | {ike.connection: _with_child(ike, child, node)}
        case ChildSaRekeyed(ike=ike, child=child, new=new_child):
            children: Tree = {
                child.name: {"old": _child(child, node), "new": _child(new_child, node)},
            }
            return {ike.connection: _ike(ike, node) | {"child-sas": children}}
    return {}


def _up(event: IkeEvent) -> Tree:
    return {"up": "yes"} if isinstance(event, IkeSaUp | ChildSaUp) else {}


def _with_child(ike: IkeName, child: ChildName, node: Node) -> Tree:
    return _ike(ike, node) | {"child-sas": {f"{child.name}-{child.id}": _child(child, node)}}


def _ike(name: IkeName, node: Node) -> Tree:
    """Return an IKE SA's state, or only its name where it is gone."""
    for sa in node.status().ike_sas:
        if sa.name.id == name.id:
            return describe_ike_sa_briefly(sa)
    return {
        "uniqueid": str(name.id),
        "version": "2",
        "state": "DELETING",
        "initiator-spi": format_ike_spi(name.spi_i),
        "responder-spi": format_ike_spi(name.spi_r),
    }


def _child(name: ChildName, node: Node) -> Tree:
    """Return a child's state, or only its name where it is gone."""
    for sa in node.status().ike_sas:
        for child in sa.children:
            if child.name.id == name.id:
                return describe_child_sa(child, node, {})
    return {
        "name": name.name,
        "uniqueid": str(name.id),
        "state": "DELETED",
        "spi-in": f"{name.spi_in:08x}",
        "spi-out": f"{name.spi_out:08x}",
    }
