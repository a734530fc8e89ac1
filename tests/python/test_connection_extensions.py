"""Extension negotiation (0x0001) and the worker's name in shares (0x0002)."""

from __future__ import annotations

import pytest
from connections import open_pair
from sv2.connection import MAX_TLVS, ConnectionPair, LocalProtocolError
from sv2.extensions import (
    WORKER_HASHRATE,
    ExtensionError,
    ExtensionPolicy,
    retry_request,
    user_identity,
    user_identity_tlv,
)

import sv2_ffi
from sv2_ffi import Tlv, UnknownMessage
from sv2_ffi.common import ChannelEndpointChanged
from sv2_ffi.extensions import RequestExtensions, RequestExtensionsError, RequestExtensionsSuccess
from sv2_ffi.mining import SubmitSharesExtended


def share() -> SubmitSharesExtended:
    return SubmitSharesExtended(1, 2, 3, 4, 5, 6, b"\x01\x02")


def policy(supported: set[int], required: set[int] | None = None) -> ExtensionPolicy:
    return ExtensionPolicy(frozenset(supported), frozenset(required or set()))


@pytest.mark.parametrize(
    ("server", "asked", "answer"),
    [
        # The three examples of the specification.
        (policy({2}), [2, 3], RequestExtensionsSuccess(9, [2])),
        (policy(set()), [2], RequestExtensionsError(9, [2], [])),
        (policy({2, 5}, {5}), [2, 3], RequestExtensionsError(9, [3], [5])),
        (policy({2, 5}, {5}), [5], RequestExtensionsSuccess(9, [5])),
        (policy({2, 5}, {5}), [], RequestExtensionsError(9, [], [5])),
        (policy({2}), [], RequestExtensionsSuccess(9, [])),
        (policy({2, 3}), [3, 2, 3], RequestExtensionsSuccess(9, [3, 2])),
        (policy(set()), list(range(65535)), RequestExtensionsError(9, list(range(65535)), [])),
    ],
)
def test_a_server_answers_by_its_policy(
    server: ExtensionPolicy,
    asked: list[int],
    answer: RequestExtensionsSuccess | RequestExtensionsError,
) -> None:
    assert server.answer(RequestExtensions(9, asked)) == answer


def test_a_policy_cannot_require_what_it_does_not_support() -> None:
    with pytest.raises(ValueError, match="does not support"):
        policy({2}, {3})
    assert policy({2, 3}, {3}).satisfied_by({3})
    assert not policy({2, 3}, {3}).satisfied_by({2})


def test_a_client_asks_again_for_what_is_required_when_it_knows_it() -> None:
    request = RequestExtensions(65535, [2, 3])
    error = RequestExtensionsError(65535, [3], [5])
    assert retry_request(request, error, known={2, 3, 5}) == RequestExtensions(0, [2, 5])
    assert retry_request(request, error, known={2, 3}) is None
    assert retry_request(request, RequestExtensionsError(1, [2, 3], []), known={2, 3}) is None
    # A server that goes on to require what it was asked for is not asked for ever.
    assert retry_request(request, RequestExtensionsError(1, [], [2, 3]), known={2, 3}) is None


def negotiated(server: ExtensionPolicy, asked: list[int]) -> ConnectionPair:
    pair = open_pair(noise=True)
    pair.client.send(RequestExtensions(1, asked))
    (request,) = pair.exchange()[1]
    assert isinstance(request, RequestExtensions)
    pair.server.send(server.answer(request))
    pair.exchange()
    return pair


def test_both_ends_end_with_the_same_extensions() -> None:
    pair = negotiated(policy({2, 7}), [2, 3])
    assert pair.client.extensions == pair.server.extensions == {2}
    pair = negotiated(policy({2}), [3])
    assert pair.client.extensions == pair.server.extensions == frozenset()


def test_the_workers_name_travels_with_its_share() -> None:
    pair = negotiated(policy({WORKER_HASHRATE}), [WORKER_HASHRATE])
    pair.client.send(share(), [user_identity_tlv("Worker_001")])
    (received,) = pair.exchange()[1]
    assert isinstance(received, SubmitSharesExtended)
    assert received.extranonce == share().extranonce
    assert user_identity(pair.server.tlvs(received)) == "Worker_001"
    # Once more as it came, as a proxy hands it on.
    pair.client.send(received)
    assert pair.exchange()[1] == [received]


def test_of_many_tlvs_only_the_first_are_looked_at() -> None:
    message = share()
    name, empty = Tlv(WORKER_HASHRATE, 1, b"w"), Tlv(0x7777, 0, b"")
    many = [empty] * (MAX_TLVS - 1) + [name, name]
    message.trailing = sv2_ffi.encode(share(), many)[len(sv2_ffi.encode(share())) :]
    assert len(message.tlvs) == MAX_TLVS + 1
    pair = negotiated(policy({WORKER_HASHRATE}), [WORKER_HASHRATE])
    assert pair.server.tlvs(message) == (name,)


def test_a_client_waits_for_the_answer() -> None:
    pair = open_pair(noise=False)
    pair.client.send(RequestExtensions(1, [2]))
    assert pair.client.negotiating
    with pytest.raises(LocalProtocolError, match="RequestExtensions"):
        pair.client.send(share())
    pair.exchange()
    pair.server.send(UnknownMessage(0x4001, 0, b"a server need not wait"))
    assert len(pair.exchange()[0]) == 1
    pair.server.send(RequestExtensionsSuccess(1, [2]))
    pair.exchange()
    assert not pair.client.negotiating
    pair.client.send(share(), [user_identity_tlv("w")])


def test_a_server_that_does_not_answer_leaves_the_client_without_extensions() -> None:
    pair = open_pair(noise=False)
    pair.client.send(RequestExtensions(1, [2]))
    pair.client.abandon_negotiation()
    pair.client.send(share())
    pair.exchange()
    pair.server.send(RequestExtensionsSuccess(1, [2]))  # too late
    pair.exchange()
    assert pair.client.extensions == frozenset()


@pytest.mark.parametrize(
    "answer",
    [
        RequestExtensionsSuccess(2, [2]),
        RequestExtensionsSuccess(1, [4, 5]),
        RequestExtensionsError(1, [2], []),
    ],
    ids=["another request", "nothing that was asked for", "refusal"],
)
def test_only_what_was_asked_for_becomes_active(
    answer: RequestExtensionsSuccess | RequestExtensionsError,
) -> None:
    pair = open_pair(noise=False)
    pair.client.send(RequestExtensions(1, [2, 3]))
    pair.exchange()
    pair.server.send(answer)
    pair.exchange()
    assert pair.client.extensions == frozenset()


def test_an_answer_out_of_the_blue_changes_nothing() -> None:
    pair = open_pair(noise=False)
    pair.server.send(RequestExtensionsSuccess(0, [2]))
    assert pair.exchange()[0] == [RequestExtensionsSuccess(0, [2])]
    assert pair.client.extensions == pair.server.extensions == frozenset()


def test_a_new_endpoint_resets_the_extensions() -> None:
    pair = negotiated(policy({2}), [2])
    pair.server.send(ChannelEndpointChanged(1))
    pair.exchange()
    assert pair.client.extensions == pair.server.extensions == frozenset()
    with pytest.raises(LocalProtocolError):
        pair.client.send(share(), [user_identity_tlv("w")])


@pytest.mark.parametrize("name", ["", "w", "Worker_001", "x" * 32, "\u00e9" * 16])
def test_names_up_to_32_bytes_round_trip(name: str) -> None:
    tlv = user_identity_tlv(name)
    assert (tlv.extension_type, tlv.field_type) == (2, 1)
    assert user_identity([Tlv(3, 1, b"other"), tlv, Tlv(2, 9, b"other")]) == name


def test_names_that_break_the_rules_are_refused() -> None:
    for long in ("x" * 33, "\u00e9" * 17):
        with pytest.raises(ValueError, match="32"):
            user_identity_tlv(long)
    for bad in ([Tlv(2, 1, b"x" * 33)], [Tlv(2, 1, b"\xff")], [Tlv(2, 1, b"a"), Tlv(2, 1, b"a")]):
        with pytest.raises(ExtensionError):
            user_identity(bad)
    assert user_identity([]) is None
