"""Frozen dataclasses with a faster `__init__` behave as others do."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, astuple, dataclass, field, replace

import pytest

from perilune.model.quick import quick


@dataclass(frozen=True, slots=True)
class Plain:
    """What `dataclasses` makes."""

    first: int
    second: list[int] = field(default_factory=list)
    third: str = "three"
    fourth: int = field(kw_only=True, default=4)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("less than nothing")


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same."""

    first: int
    second: list[int] = field(default_factory=list)
    third: str = "three"
    fourth: int = field(kw_only=True, default=4)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("less than nothing")


@pytest.mark.parametrize(
    ("values", "named"),
    [((1,), {}), ((1, [2], "x"), {"fourth": 5}), ((), {"third": "y", "first": 7})],
    ids=["defaults", "all", "by name"],
)
def test_values_and_defaults_are_those_of_a_dataclass(
    values: tuple[object, ...], named: dict[str, object]
) -> None:
    quick_one, plain = Quick(*values, **named), Plain(*values, **named)  # type: ignore[arg-type] # many kinds
    assert astuple(quick_one) == astuple(plain)
    assert repr(quick_one) == repr(plain).replace("Plain", "Quick")


def test_each_has_a_default_of_its_own() -> None:
    assert Quick(1).second is not Quick(1).second


@pytest.mark.parametrize("values", [(), (1, [], "x", 4)], ids=["none", "a keyword's by place"])
def test_arguments_are_checked_as_a_dataclass_does(values: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        Plain(*values)  # type: ignore[arg-type] # on purpose
    with pytest.raises(TypeError):
        Quick(*values)  # type: ignore[arg-type] # on purpose


def test_parameters_have_the_same_names_and_kinds() -> None:
    of_quick, of_plain = (inspect.signature(one).parameters for one in (Quick, Plain))
    assert [(one.name, one.kind) for one in of_quick.values()] == [
        (one.name, one.kind) for one in of_plain.values()
    ]


def test_it_is_frozen_checked_and_replaced() -> None:
    with pytest.raises(FrozenInstanceError):
        Quick(1).first = 2  # type: ignore[misc] # on purpose
    with pytest.raises(ValueError, match="less than nothing"):
        Quick(-1)
    assert replace(Quick(1), fourth=9) == Quick(1, fourth=9)


def test_a_class_without_slots_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Loose\.first"):

        @quick
        @dataclass(frozen=True)
        class Loose:
            first: int
