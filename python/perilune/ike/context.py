"""What all IKE SAs of one endpoint share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from perilune.ike.child_index import ChildIndex
from perilune.ike.outbox import Outbox
from perilune.ike.peer_lookup import Pad
from perilune.ike.policies import PolicyTable
from perilune.ike.reconnection import Wishes
from perilune.ike.registry import Registry
from perilune.ike.settings import EndpointSettings
from perilune.ike.spis import SpiRegistry
from perilune.model.random import Rng


@dataclass(slots=True)
class Context:
    """The endpoint's settings, tables and queues."""

    settings: EndpointSettings
    rng: Rng
    outbox: Outbox
    policies: PolicyTable
    spis: SpiRegistry
    wishes: Wishes
    registry: Registry = field(default_factory=Registry)
    child_index: ChildIndex = field(default_factory=ChildIndex)
    pad: Pad = field(default_factory=Pad)

    @classmethod
    def new(cls, settings: EndpointSettings, rng: Rng) -> Self:
        """Return the context of a new endpoint."""
        outbox = Outbox(settings.nat_t_port)
        return cls(
            settings, rng, outbox, PolicyTable(outbox), SpiRegistry(rng), Wishes(outbox, settings.timers)
        )
