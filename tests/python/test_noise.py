"""Noise handshake, certificates and transport ciphers: published vectors and hostile input."""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from engines import ENGINES, engine_named
from hypothesis import given
from hypothesis import strategies as st
from sv2.noise import (
    AuthoritySecretKey,
    Certificate,
    CertificateError,
    CertificateFault,
    CertificatePolicy,
    EarliestTime,
    Engine,
    HandshakeError,
    NoClock,
    PythonEngine,
    ServerIdentity,
    Session,
    StaticSecretKey,
    TransportError,
    WallClock,
    _secp256k1,
    issue_certificate,
    sealed_payload_size,
)
from sv2.noise.cipher import LAST_NONCE, CipherState, FrameOpener, FrameSealer
from sv2.noise.engine import ACT_1_SIZE, ACT_2_SIZE, MAX_CHUNK, SEALED_HEADER_SIZE
from sv2.noise.handshake import INITIAL_CHAINING_KEY, INITIAL_HASH, PROTOCOL_NAME
from sv2.noise.keys import ExchangeSecretKey

VECTORS = Path(__file__).parent.parent / "vectors"
NOW = 1_800_000_000
DAY = 86_400


def rows(name: str) -> list[dict[str, str]]:
    with open(VECTORS / name, newline="") as file:
        return list(csv.DictReader(file))


AUTHORITY = AuthoritySecretKey(hashlib.sha256(b"authority").digest())
OTHER_AUTHORITY = AuthoritySecretKey(hashlib.sha256(b"another authority").digest())
STATIC = StaticSecretKey(hashlib.sha256(b"static").digest())


def certificate(
    *,
    authority: AuthoritySecretKey = AUTHORITY,
    valid_from: int = NOW - DAY,
    not_valid_after: int = NOW + DAY,
    version: int = 0,
) -> Certificate:
    return issue_certificate(
        authority,
        STATIC.x_only,
        valid_from=valid_from,
        not_valid_after=not_valid_after,
        version=version,
    )


def policy(clock: WallClock | EarliestTime | NoClock | None = None) -> CertificatePolicy:
    return CertificatePolicy(AUTHORITY.public_key, clock or WallClock(lambda: NOW))


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_named(request.param)


def header(size: int, message_type: int = 7) -> bytes:
    """Of a frame of the experimental extension 0x4001."""
    return b"\x01\x40" + bytes([message_type]) + size.to_bytes(3, "little")


def sessions(engine: Engine) -> tuple[Session, Session]:
    """Client's and server's end of one finished handshake."""
    client = engine.initiator()
    server = engine.responder(ServerIdentity(STATIC, certificate()))
    act_2, server_session = server.read_act_1(client.write_act_1())
    shown, client_session = client.read_act_2(act_2)
    policy().check(shown)
    return client_session, server_session


# Published vectors, through the functions that the handshake calls.


@pytest.mark.parametrize(
    "row", rows("bip324/ellswift_decode_test_vectors.csv"), ids=lambda row: row["comment"]
)
def test_bip324_encodings_decode_to_their_x_coordinate(row: dict[str, str]) -> None:
    decoded = _secp256k1.x_only_from_ellswift(bytes.fromhex(row["ellswift"]))
    assert decoded.hex() == row["x"]


@pytest.mark.parametrize("row", rows("bip324/xswiftec_inv_test_vectors.csv"))
def test_bip324_every_published_encoding_of_a_key_decodes_to_it(row: dict[str, str]) -> None:
    encodings = [row["u"] + row[f"case{case}_t"] for case in range(8) if row[f"case{case}_t"]]
    for encoded in encodings:
        assert _secp256k1.x_only_from_ellswift(bytes.fromhex(encoded)).hex() == row["x"]


@pytest.mark.parametrize(
    "row", rows("bip324/packet_encoding_test_vectors.csv"), ids=lambda row: row["in_idx"]
)
def test_bip324_key_agreement_gives_the_published_secret(row: dict[str, str]) -> None:
    ours = bytes.fromhex(row["in_ellswift_ours"])
    theirs = bytes.fromhex(row["in_ellswift_theirs"])
    key = ExchangeSecretKey(bytes.fromhex(row["in_priv_ours"]))
    secret = key.agree(ours, theirs, initiator=row["in_initiating"] == "1")
    assert secret.hex() == row["mid_shared_secret"]
    assert key.x_only.hex() == row["mid_x_ours"]
    assert _secp256k1.x_only_from_ellswift(ours).hex() == row["mid_x_ours"]
    assert _secp256k1.x_only_from_ellswift(theirs).hex() == row["mid_x_theirs"]


@pytest.mark.parametrize(
    "row", rows("bip324/packet_encoding_test_vectors.csv"), ids=lambda row: row["in_idx"]
)
def test_our_encodings_of_the_bip324_keys_decode_to_the_same_key(row: dict[str, str]) -> None:
    key = ExchangeSecretKey(bytes.fromhex(row["in_priv_ours"]))
    encodings = {key.ellswift(bytes([seed]) * 32) for seed in range(8)}
    assert len(encodings) == 8
    for encoded in encodings:
        assert _secp256k1.x_only_from_ellswift(encoded).hex() == row["mid_x_ours"]


@pytest.mark.parametrize(
    "row", rows("bip340/test-vectors.csv"), ids=lambda row: row["comment"] or row["index"]
)
def test_bip340_signatures_verify_as_published(row: dict[str, str]) -> None:
    verified = _secp256k1.schnorr_verify(
        bytes.fromhex(row["public key"]),
        bytes.fromhex(row["message"]),
        bytes.fromhex(row["signature"]),
    )
    assert verified == (row["verification result"] == "TRUE")


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in rows("bip340/test-vectors.csv")
        if row["secret key"] and len(row["message"]) == 64
    ],
    ids=lambda row: row["index"],
)
def test_bip340_signing_gives_the_published_signature(row: dict[str, str]) -> None:
    secret = bytes.fromhex(row["secret key"])
    signature = _secp256k1.schnorr_sign(
        secret, bytes.fromhex(row["message"]), bytes.fromhex(row["aux_rand"])
    )
    assert signature.hex().upper() == row["signature"]
    assert _secp256k1.x_only(secret).hex().upper() == row["public key"]


def test_wrong_sizes_never_reach_the_c_library() -> None:
    good = bytes(31) + b"\x01"
    with pytest.raises(_secp256k1.Secp256k1Error):
        _secp256k1.schnorr_sign(good, bytes(31), bytes(32))
    with pytest.raises(_secp256k1.Secp256k1Error):
        _secp256k1.ellswift_xdh(good, bytes(64), bytes(63), initiator=True)
    with pytest.raises(_secp256k1.Secp256k1Error):
        _secp256k1.ellswift_create(bytes(32), bytes(32))
    with pytest.raises(_secp256k1.Secp256k1Error):
        _secp256k1.x_only_from_ellswift(bytes(65))
    assert not _secp256k1.schnorr_verify(bytes(31), bytes(32), bytes(64))
    assert not _secp256k1.schnorr_verify(_secp256k1.x_only(good), bytes(32), bytes(65))


def test_the_protocol_name_hashes_to_the_known_start_values() -> None:
    assert PROTOCOL_NAME == b"Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256"
    assert INITIAL_CHAINING_KEY.hex() == (
        "2eb47881208e9eee1f669f67c66ee70ea9ea88090d503fe830dc4bc83e29bf10"
    )
    assert INITIAL_HASH.hex() == "922fa32e4f487c0d59caa3bed7899ce3d98db7e13dbd3b7cf2d23dd433dc6104"


# The handshake.


def test_both_sides_end_with_the_same_session(engine: Engine) -> None:
    client, server = sessions(engine)
    assert client.handshake_hash == server.handshake_hash
    up = client.sealer.seal(header(15), b"from the client")
    assert server.opener.open_header(up[:SEALED_HEADER_SIZE]) == header(15)
    assert server.opener.open_chunk(up[SEALED_HEADER_SIZE:]) == b"from the client"
    down = server.sealer.seal(header(16), b"from the server!")
    assert client.opener.open_header(down[:SEALED_HEADER_SIZE]) == header(16)
    assert client.opener.open_chunk(down[SEALED_HEADER_SIZE:]) == b"from the server!"


def test_acts_have_the_sizes_of_the_wire(engine: Engine) -> None:
    client = engine.initiator()
    act_1 = client.write_act_1()
    act_2, _ = engine.responder(ServerIdentity(STATIC, certificate())).read_act_1(act_1)
    assert (len(act_1), len(act_2)) == (64, 234)


def test_no_two_handshakes_share_a_byte_string(engine: Engine) -> None:
    acts = {engine.initiator().write_act_1() for _ in range(16)}
    assert len(acts) == 16
    act_1 = acts.pop()
    identity = ServerIdentity(STATIC, certificate())
    answers = [engine.responder(identity).read_act_1(act_1)[0] for _ in range(16)]
    for start in (0, 64, 144):
        assert len({answer[start : start + 64] for answer in answers}) == 16


def test_the_same_randomness_gives_the_same_handshake() -> None:
    def run(seed: int) -> tuple[bytes, bytes, bytes]:
        engine = PythonEngine(random.Random(seed).randbytes)
        client = engine.initiator()
        act_1 = client.write_act_1()
        identity = ServerIdentity(STATIC, shown)
        act_2, session = engine.responder(identity).read_act_1(act_1)
        return act_1, act_2, session.handshake_hash

    shown = certificate()
    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("at", range(ACT_1_SIZE))
def test_a_flipped_byte_in_act_1_is_refused_by_the_client(engine: Engine, at: int) -> None:
    client = engine.initiator()
    act_1 = bytearray(client.write_act_1())
    act_1[at] ^= 1 << (at % 8)
    # Every 64 bytes are a valid key, so the server cannot tell; the client's keys then differ.
    act_2, _ = engine.responder(ServerIdentity(STATIC, certificate())).read_act_1(act_1)
    with pytest.raises(HandshakeError, match="authenticate"):
        client.read_act_2(act_2)


@pytest.mark.parametrize("at", range(ACT_2_SIZE))
def test_a_flipped_byte_in_act_2_is_refused_by_the_client(engine: Engine, at: int) -> None:
    client = engine.initiator()
    identity = ServerIdentity(STATIC, certificate())
    act_2 = bytearray(engine.responder(identity).read_act_1(client.write_act_1())[0])
    act_2[at] ^= 1 << (at % 8)
    with pytest.raises(HandshakeError, match="authenticate"):
        client.read_act_2(act_2)


def test_every_wrong_size_of_an_act_is_refused(engine: Engine) -> None:
    identity = ServerIdentity(STATIC, certificate())
    for size in (*range(ACT_1_SIZE), ACT_1_SIZE + 1, 170):
        with pytest.raises(HandshakeError, match="64 bytes"):
            engine.responder(identity).read_act_1(bytes(size))
    act_1 = engine.initiator().write_act_1()
    act_2, _ = engine.responder(identity).read_act_1(act_1)
    for size in (*range(ACT_2_SIZE), ACT_2_SIZE + 1):
        client = engine.initiator()
        client.write_act_1()
        with pytest.raises(HandshakeError, match="234 bytes"):
            client.read_act_2(act_2.ljust(size, b"\0")[:size])


def test_a_handshake_serves_once(engine: Engine) -> None:
    client = engine.initiator()
    with pytest.raises(HandshakeError):
        client.read_act_2(bytes(ACT_2_SIZE))
    server = engine.responder(ServerIdentity(STATIC, certificate()))
    act_1 = client.write_act_1()
    with pytest.raises(HandshakeError):
        client.write_act_1()
    act_2, _ = server.read_act_1(act_1)
    with pytest.raises(HandshakeError):
        server.read_act_1(act_1)
    client.read_act_2(act_2)
    with pytest.raises(HandshakeError):
        client.read_act_2(act_2)


# Certificates.


def test_a_good_certificate_is_accepted_and_survives_the_wire() -> None:
    issued = certificate()
    wire = issued.to_wire()
    assert len(wire) == 74
    assert Certificate.from_wire(wire, STATIC.x_only) == issued
    policy().check(issued)


def test_the_signed_digest_covers_version_dates_and_key() -> None:
    issued = certificate(valid_from=0x01020304, not_valid_after=0x05060708, version=0x090A)
    signed = bytes.fromhex("0a09 04030201 08070605") + STATIC.x_only
    assert issued.digest() == hashlib.sha256(signed).digest()
    assert AUTHORITY.public_key.verifies(issued.digest(), issued.signature)


@pytest.mark.parametrize(
    ("shown", "fault", "says"),
    [
        (certificate(authority=OTHER_AUTHORITY), CertificateFault.SIGNATURE, "authority"),
        (certificate(version=1), CertificateFault.VERSION, "version 1"),
        (certificate(not_valid_after=NOW - 11), CertificateFault.EXPIRED, "has expired"),
        (certificate(valid_from=NOW + 11), CertificateFault.NOT_YET_VALID, "not valid yet"),
    ],
    ids=["wrong authority", "wrong version", "expired", "not yet valid"],
)
def test_a_bad_certificate_is_refused_with_its_fault(
    shown: Certificate, fault: CertificateFault, says: str
) -> None:
    with pytest.raises(CertificateError, match=says) as caught:
        policy().check(shown)
    assert caught.value.fault is fault


def test_dates_hold_to_the_tolerance_and_no_further() -> None:
    policy().check(certificate(not_valid_after=NOW - 10))
    policy().check(certificate(valid_from=NOW + 10))
    strict = policy(WallClock(lambda: NOW, tolerance=0))
    strict.check(certificate(valid_from=NOW, not_valid_after=NOW))
    with pytest.raises(CertificateError):
        strict.check(certificate(not_valid_after=NOW - 1))
    with pytest.raises(CertificateError):
        strict.check(certificate(valid_from=NOW + 1))


def test_dates_the_wrong_way_round_are_refused() -> None:
    unsigned = Certificate(0, NOW + 5, NOW - 5, STATIC.x_only, b"")
    signed = Certificate(0, NOW + 5, NOW - 5, STATIC.x_only, AUTHORITY.sign(unsigned.digest()))
    with pytest.raises(CertificateError) as caught:
        policy().check(signed)
    assert caught.value.fault is CertificateFault.DATES


@pytest.mark.parametrize("at", range(74))
def test_no_byte_of_a_certificate_can_be_changed(at: int) -> None:
    wire = bytearray(certificate().to_wire())
    wire[at] ^= 0x10
    with pytest.raises(CertificateError) as caught:
        policy().check(Certificate.from_wire(bytes(wire), STATIC.x_only))
    assert caught.value.fault is (
        CertificateFault.VERSION if at < 2 else CertificateFault.SIGNATURE
    )


def test_a_certificate_does_not_fit_another_key() -> None:
    stolen = StaticSecretKey.generate()
    with pytest.raises(CertificateError) as caught:
        policy().check(Certificate.from_wire(certificate().to_wire(), stolen.x_only))
    assert caught.value.fault is CertificateFault.SIGNATURE
    with pytest.raises(ValueError, match="another static key"):
        ServerIdentity(stolen, certificate())


def test_a_device_that_knows_a_lower_bound_of_the_time_refuses_what_ended_before_it() -> None:
    clock = policy(EarliestTime(NOW))
    clock.check(certificate())
    clock.check(certificate(valid_from=NOW + DAY, not_valid_after=NOW + 2 * DAY))
    with pytest.raises(CertificateError) as caught:
        clock.check(certificate(not_valid_after=NOW - 1))
    assert caught.value.fault is CertificateFault.EXPIRED


def test_a_device_without_a_clock_refuses_everything() -> None:
    with pytest.raises(CertificateError) as caught:
        policy(NoClock()).check(certificate())
    assert caught.value.fault is CertificateFault.NO_CLOCK


def test_believing_anybody_takes_its_own_name() -> None:
    anybody = CertificatePolicy.unverified()
    assert not anybody.verified
    anybody.check(certificate(authority=OTHER_AUTHORITY, not_valid_after=NOW - DAY))
    with pytest.raises(TypeError):
        CertificatePolicy(b"\1" * 32)  # type: ignore[arg-type]
    # A key that is missing by mistake is no leave to go on.
    with pytest.raises(ValueError, match="unverified"):
        CertificatePolicy(None)
    with pytest.raises(ValueError, match="unverified"):
        CertificatePolicy(AUTHORITY.public_key, verified=False)


@pytest.mark.parametrize(("start", "end"), [(5, 4), (-1, 4), (0, 2**32)])
def test_impossible_dates_are_not_issued(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="2\\*\\*32"):
        issue_certificate(AUTHORITY, STATIC.x_only, valid_from=start, not_valid_after=end)


def test_a_server_renews_its_certificate_at_half_of_its_life() -> None:
    now = [float(NOW)]
    identity = ServerIdentity.self_issued(
        AUTHORITY, STATIC, lifetime=1000, backdate=60, now=lambda: now[0]
    )
    clock = CertificatePolicy(AUTHORITY.public_key, WallClock(lambda: now[0], tolerance=0))
    first = identity.certificate()
    assert (first.valid_from, first.not_valid_after) == (NOW - 60, NOW + 1000)
    now[0] += 499
    assert identity.certificate() is first
    now[0] += 1
    second = identity.certificate()
    assert second.not_valid_after == NOW + 1500
    clock.check(second)
    now[0] -= 400  # the clock is set back
    clock.check(identity.certificate())
    assert identity.certificate().valid_from == NOW + 100 - 60


# Transport.


@pytest.mark.parametrize(
    ("size", "sealed"),
    [
        (0, 0),
        (1, 17),
        (MAX_CHUNK, 65535),
        (MAX_CHUNK + 1, 65535 + 17),
        (2 * MAX_CHUNK, 2 * 65535),
        (16_777_215, 16_777_215 + 257 * 16),
    ],
)
def test_payloads_are_sealed_in_chunks(size: int, sealed: int) -> None:
    assert sealed_payload_size(size) == sealed


def open_frame(session: Session, frame: bytes) -> tuple[bytes, bytes]:
    head = session.opener.open_header(frame[:SEALED_HEADER_SIZE])
    body = frame[SEALED_HEADER_SIZE:]
    chunks = [body[at : at + 65535] for at in range(0, len(body), 65535)]
    return head, b"".join(session.opener.open_chunk(chunk) for chunk in chunks)


@pytest.mark.parametrize(
    "size", [0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, 3 * MAX_CHUNK, 1 << 20]
)
def test_frames_of_every_kind_of_size_arrive(engine: Engine, size: int) -> None:
    client, server = sessions(engine)
    payload = random.Random(size).randbytes(size)
    for sender, receiver in ((client, server), (server, client)):
        for _ in range(2):
            frame = sender.sealer.seal(header(size), payload)
            assert len(frame) == SEALED_HEADER_SIZE + sealed_payload_size(size)
            assert open_frame(receiver, frame) == (header(size), payload)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_sequence_of_frames_arrives_in_order(engine: Engine, payloads: list[bytes]) -> None:
    client, server = sessions(engine)
    for payload in payloads:
        frame = client.sealer.seal(header(len(payload)), payload)
        assert open_frame(server, frame) == (header(len(payload)), payload)


# A failure is final for an opener, so each of these takes a session of its own.


def test_every_flipped_transport_byte_is_refused(engine: Engine) -> None:
    payload = b"a payload of some bytes"
    for at in range(SEALED_HEADER_SIZE + len(payload) + 16):
        client, server = sessions(engine)
        frame = bytearray(client.sealer.seal(header(len(payload)), payload))
        frame[at] ^= 1 << (at % 8)
        with pytest.raises(TransportError, match="authenticate"):
            open_frame(server, bytes(frame))


@pytest.mark.parametrize("order", [[0, 0], [1], [0, 2], [0, 1, 0]])
def test_a_piece_is_not_accepted_twice_nor_out_of_order(engine: Engine, order: list[int]) -> None:
    client, server = sessions(engine)
    frames = [client.sealer.seal(header(0, number), b"") for number in range(3)]
    *good, last = order
    for number in good:
        assert server.opener.open_header(frames[number]) == header(0, number)
    with pytest.raises(TransportError):
        server.opener.open_header(frames[last])


def test_what_a_side_sent_is_not_accepted_by_itself(engine: Engine) -> None:
    client, _ = sessions(engine)
    with pytest.raises(TransportError):
        client.opener.open_header(client.sealer.seal(header(0), b""))


@pytest.mark.parametrize("use", ["encrypt", "decrypt"])
def test_a_used_up_nonce_counter_is_an_error_that_stays(use: str) -> None:
    key = bytes(range(32))
    last = CipherState(key, LAST_NONCE - 1)
    sealed = last.encrypt(b"the last message")
    spent = last
    if use == "decrypt":
        spent = CipherState(key, LAST_NONCE - 1)
        assert spent.decrypt(sealed) == b"the last message"
    call: Callable[[bytes], bytes] = getattr(spent, use)
    for _ in range(2):
        with pytest.raises(TransportError, match="used up"):
            call(sealed)


def test_sealing_stops_when_the_nonces_run_out_within_a_frame() -> None:
    sealer = FrameSealer(CipherState(bytes(32), LAST_NONCE - 1))
    with pytest.raises(TransportError, match="used up"):
        sealer.seal(b"abcdef", b"payload")


def test_pieces_of_the_wrong_size_are_the_callers_fault() -> None:
    opener, sealer = FrameOpener(CipherState(bytes(32))), FrameSealer(CipherState(bytes(32)))
    with pytest.raises(ValueError, match="22 bytes"):
        opener.open_header(bytes(21))
    with pytest.raises(ValueError, match="65535 bytes"):
        opener.open_chunk(bytes(65536))
    with pytest.raises(ValueError, match="6 bytes"):
        sealer.seal(bytes(5), b"")


@pytest.mark.parametrize("size", range(16))
def test_a_piece_shorter_than_its_mac_is_refused(size: int) -> None:
    with pytest.raises(TransportError):
        CipherState(bytes(32)).decrypt(bytes(size))


def test_sessions_and_ciphers_show_no_secret(engine: Engine) -> None:
    client, server = sessions(engine)
    for session in (client, server):
        assert repr(session) == f"Session({session.handshake_hash.hex()})"
    key = hashlib.sha256(b"a transport key").digest()
    assert repr(CipherState(key, 7)) == "CipherState(nonce=7)"
    identity = ServerIdentity.self_issued(AUTHORITY, STATIC)
    text = repr(identity) + repr(vars(identity))
    for secret in (AUTHORITY, STATIC):
        assert secret._secret.hex() not in text
        assert secret.reveal() not in text
