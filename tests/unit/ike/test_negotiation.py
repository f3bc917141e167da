"""Choosing algorithms (RFC 7296, sections 2.7 and 3.3.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.settings import esp_proposal, ike_proposal
from perilune.ike.negotiation import (
    Choice,
    choose,
    key_exchanges,
    offer,
    require_chosen,
    that_need_no_additional,
    with_one_key_exchange,
)
from perilune.ike.refusal import Refusal
from perilune.model.iana import EncrId, IntegId, KeId, NotifyType, SnId, TransformType
from perilune.model.proposal import Proposal, Transform


def test_our_preference_counts() -> None:
    ours = [ike_proposal(KeId.ECP_384, KeId.CURVE25519)]
    theirs = [ike_proposal(KeId.CURVE25519, KeId.ECP_384)]
    assert choose(ours, theirs).key_exchange is KeId.ECP_384


def test_key_exchange_whose_value_is_here_is_chosen_if_it_is_allowed() -> None:
    ours = [ike_proposal(KeId.ECP_384, KeId.CURVE25519)]
    theirs = [ike_proposal(KeId.CURVE25519, KeId.ECP_384)]
    assert choose(ours, theirs, preferred=KeId.CURVE25519).key_exchange is KeId.CURVE25519
    assert choose(ours, theirs, preferred=KeId.MODP_2048).key_exchange is KeId.ECP_384


def test_choice_keeps_the_peers_number() -> None:
    theirs = [ike_proposal(bits=128).with_spi(b"", 1), ike_proposal().with_spi(b"", 2)]
    assert choose([ike_proposal()], theirs).proposal.number == 2


def test_transforms_of_two_proposals_are_not_mixed() -> None:
    cbc = ike_proposal(KeId.ECP_256, encr=EncrId.ENCR_AES_CBC)
    with pytest.raises(Refusal) as caught:
        choose([cbc], [ike_proposal(KeId.ECP_256), ike_proposal(KeId.CURVE25519, encr=EncrId.ENCR_AES_CBC)])
    assert caught.value.notify is NotifyType.NO_PROPOSAL_CHOSEN


@pytest.mark.parametrize(
    "extra",
    [
        Transform(250, 1),
        Transform(TransformType.SN, 0),
    ],
)
def test_proposal_with_a_type_that_we_do_not_have_is_unacceptable(extra: Transform) -> None:
    theirs = replace(ike_proposal(), transforms=(*ike_proposal().transforms, extra))
    with pytest.raises(Refusal):
        choose([ike_proposal()], [theirs])
    assert choose([ike_proposal()], [theirs, ike_proposal().with_spi(b"", 2)]).proposal.number == 2


def _without(proposal: Proposal, type_: TransformType) -> Proposal:
    return replace(proposal, transforms=tuple(t for t in proposal.transforms if t.type != type_))


@pytest.mark.parametrize("type_", [TransformType.ENCR, TransformType.PRF, TransformType.KE])
def test_proposal_without_a_mandatory_type_is_unacceptable(type_: TransformType) -> None:
    lacking = _without(ike_proposal(), type_)
    for ours, theirs in ((ike_proposal(), lacking), (lacking, lacking)):
        with pytest.raises(Refusal):
            choose([ours], [theirs])


def test_transform_with_an_unknown_attribute_is_passed_over() -> None:
    strange = Transform(TransformType.ENCR, EncrId.ENCR_AES_GCM_16, 256, ((0x8001, b"\0\1"),))
    theirs = replace(ike_proposal(), transforms=(strange, *ike_proposal().transforms))
    assert strange not in choose([ike_proposal()], [theirs]).proposal.transforms
    with pytest.raises(Refusal):
        choose([ike_proposal()], [replace(theirs, transforms=(strange, *ike_proposal().transforms[1:]))])


def test_none_is_as_good_as_leaving_the_type_out() -> None:
    with_none = replace(
        esp_proposal(),
        transforms=(
            *esp_proposal().transforms,
            Transform(TransformType.KE, KeId.NONE),
            Transform(TransformType.INTEG, IntegId.NONE),
        ),
    )
    for ours, theirs in ((esp_proposal(), with_none), (with_none, esp_proposal())):
        choice = choose([ours], [theirs])
        assert choice.key_exchange is KeId.NONE
        assert choice.esp_suite.integrity is IntegId.NONE


def test_none_is_no_key_exchange_for_an_ike_sa() -> None:
    without = replace(ike_proposal(), transforms=(*ike_proposal().transforms[:2], Transform(4, 0)))
    with pytest.raises(Refusal):
        choose([ike_proposal()], [without])


def test_suites_have_what_was_chosen() -> None:
    chosen = Choice(esp_proposal(KeId.ECP_256, encr=EncrId.ENCR_CHACHA20_POLY1305))
    assert chosen.esp_suite.encryption.key_bits == 256
    assert chosen.esp_suite.key_exchange is KeId.ECP_256
    assert chosen.esp_suite.sequence_numbers is SnId.SEQUENTIAL_32
    cbc = Choice(ike_proposal(encr=EncrId.ENCR_AES_CBC, bits=192)).ike_suite
    assert (cbc.encryption.key_bits, cbc.integrity) == (192, IntegId.AUTH_HMAC_SHA2_256_128)


def test_answer_has_to_be_one_of_our_proposals() -> None:
    ours = offer([ike_proposal(bits=128), ike_proposal(bits=256)], b"")
    assert require_chosen(ours, [ours[1]]).ike_suite.encryption.key_bits == 256
    for answer in (
        [],
        list(ours),
        [ours[1].with_spi(b"", 1)],
        [ours[1].with_spi(b"", 3)],
        [ike_proposal(bits=192)],
        [replace(ours[0], transforms=(*ours[0].transforms, Transform(4, KeId.ECP_256)))],
    ):
        with pytest.raises(Refusal):
            require_chosen(ours, answer)


def test_offer_is_numbered_and_names_the_method_of_the_ke_payload_first() -> None:
    first, second = offer(
        [ike_proposal(), ike_proposal(KeId.ECP_256, KeId.CURVE25519)], b"12345678", KeId.CURVE25519
    )
    assert (first.number, second.number, second.spi) == (1, 2, b"12345678")
    assert [t.id for t in second.of_type(TransformType.KE)] == [KeId.CURVE25519, KeId.ECP_256]
    assert key_exchanges([first, second]) == (KeId.CURVE25519, KeId.ECP_256)


def test_refusal_tells_how_near_it_was() -> None:
    with pytest.raises(Refusal, match="no common KE") as caught:
        choose([ike_proposal(KeId.ECP_384)], [ike_proposal(bits=128), ike_proposal(KeId.ECP_256)], hint="a.b")
    assert "ENCR" not in str(caught.value)
    assert caught.value.hint == "a.b"
    assert "ECP_384" in caught.value.ours
    assert "ECP_256" in caught.value.theirs


METHODS = st.lists(st.sampled_from([KeId.CURVE25519, KeId.ECP_256, KeId.ECP_384]), min_size=1, unique=True)
PROPOSALS = st.lists(
    st.builds(lambda methods, bits: ike_proposal(*methods, bits=bits), METHODS, st.sampled_from([128, 256])),
    min_size=1,
    max_size=3,
)


@given(PROPOSALS, PROPOSALS)
def test_what_is_chosen_is_in_both_lists(ours: list[Proposal], theirs: list[Proposal]) -> None:
    possible = any(_fits(own, their) for own in ours for their in theirs)
    try:
        chosen = choose(ours, theirs).proposal
    except Refusal:
        assert not possible
        return
    assert possible
    assert any(set(chosen.transforms) <= set(own.transforms) for own in ours)
    assert any(set(chosen.transforms) <= set(their.transforms) for their in theirs)
    assert len({t.type for t in chosen.transforms}) == len(chosen.transforms) == 3


def _fits(ours: Proposal, theirs: Proposal) -> bool:
    common = set(ours.transforms) & set(theirs.transforms)
    return {transform.type for transform in common} == {transform.type for transform in ours.transforms}


KEM, LARGE_KEM, CURVE = KeId.ML_KEM_768, KeId.ML_KEM_1024, KeId.CURVE448


def test_additional_key_exchanges_are_chosen_by_our_preference() -> None:
    ours = [ike_proposal(additional=((LARGE_KEM, KEM), (CURVE,)))]
    theirs = [ike_proposal(additional=((KEM, LARGE_KEM), (CURVE, KEM)))]
    chosen = choose(ours, theirs)
    assert chosen.ike_suite.additional_key_exchanges == (LARGE_KEM, CURVE)
    assert str(chosen.ike_suite).endswith("CURVE25519/KE1_ML_KEM_1024/KE2_CURVE448")
    assert require_chosen(theirs, [chosen.proposal]) == chosen


def test_no_method_is_chosen_twice() -> None:
    both = [ike_proposal(additional=((KEM, LARGE_KEM), (KEM,)))]
    assert choose(both, both).additional_key_exchanges == (LARGE_KEM, KEM)
    same = [ike_proposal(additional=((KEM,), (KEM,)))]
    with pytest.raises(Refusal, match="ADDKE1"):
        choose(same, same)
    with pytest.raises(Refusal):
        require_chosen(same, [same[0]])


def test_none_may_be_chosen_twice_and_is_answered_where_it_was_offered() -> None:
    ours = [ike_proposal(additional=((KEM, KeId.NONE), (KEM, KeId.NONE), (CURVE, KeId.NONE)))]
    theirs = [ike_proposal(additional=((KeId.NONE,), (KeId.NONE, LARGE_KEM)))]
    chosen = choose(ours, theirs)
    assert chosen.additional_key_exchanges == ()
    kinds = [(t.type, t.id) for t in chosen.proposal.transforms if t.type >= TransformType.ADDKE1]
    assert kinds == [(TransformType.ADDKE1, 0), (TransformType.ADDKE2, 0)]


def test_types_need_not_be_consecutive_and_run_in_their_order() -> None:
    transforms = (
        *ike_proposal().transforms,
        Transform(TransformType.ADDKE5, LARGE_KEM),
        Transform(TransformType.ADDKE2, KEM),
    )
    proposal = replace(ike_proposal(), transforms=transforms)
    assert choose([proposal], [proposal]).additional_key_exchanges == (KEM, LARGE_KEM)


def test_one_side_alone_does_not_make_a_key_exchange_additional() -> None:
    hybrid, plain = ike_proposal(additional=((KEM,),)), ike_proposal()
    for ours, theirs in ((hybrid, plain), (plain, hybrid)):
        with pytest.raises(Refusal, match="ADDKE1"):
            choose([ours], [theirs])
        assert choose([ours, plain], [theirs, plain]).additional_key_exchanges == ()


def test_what_is_left_for_a_peer_without_additional_key_exchanges() -> None:
    plain = ike_proposal()
    optional = ike_proposal(additional=((KEM, KeId.NONE), (CURVE, KeId.NONE)))
    hybrid = ike_proposal(bits=128, additional=((KEM,), (CURVE, KeId.NONE)))
    assert that_need_no_additional([hybrid, optional, plain]) == (plain,)
    assert that_need_no_additional([hybrid]) == ()
    assert with_one_key_exchange([hybrid, optional, plain]) == (ike_proposal(bits=128), plain)
