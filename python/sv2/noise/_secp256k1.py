"""The few functions of libsecp256k1 that Sv2 needs, over the copy that coincurve carries.

coincurve's public API has BIP340 but no ElligatorSwift, so this module calls the library through
the ``ffi`` and ``lib`` of its extension. It is the only module that does: all allocation of C
values and every return code stay in here.

Secrets and points are plain ``bytes`` in libsecp256k1's serialization (big-endian, fixed length).
"""

from __future__ import annotations

from typing import Any

import coincurve
from coincurve import _libsecp256k1

SECRET_SIZE = 32
X_ONLY_SIZE = 32
ELLSWIFT_SIZE = 64
SIGNATURE_SIZE = 64
DIGEST_SIZE = 32

_ffi: Any = _libsecp256k1.ffi
_lib: Any = _libsecp256k1.lib
# A context of our own: coincurve randomizes it against side channels when it makes it.
_context_owner: Any = coincurve.Context()
_context: Any = _context_owner.ctx


class Secp256k1Error(ValueError):
    """libsecp256k1 refused an input. The text names the operation, never the input."""


def _sized(name: str, value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise Secp256k1Error(f"{name} must be {size} bytes, not {len(value)}")
    return bytes(value)


def _ok(result: int, operation: str) -> None:
    if result != 1:
        raise Secp256k1Error(f"{operation} failed")


def _take(buffer: Any) -> bytes:
    return bytes(_ffi.buffer(buffer))


def is_secret(secret: bytes) -> bool:
    """Whether ``secret`` is 32 bytes that name a scalar from 1 to the group order less 1."""
    return len(secret) == SECRET_SIZE and bool(_lib.secp256k1_ec_seckey_verify(_context, secret))


def is_x_only(key: bytes) -> bool:
    """Whether ``key`` is 32 bytes that are the x coordinate of a point (BIP340)."""
    if len(key) != X_ONLY_SIZE:
        return False
    point = _ffi.new("secp256k1_xonly_pubkey *")
    return bool(_lib.secp256k1_xonly_pubkey_parse(_context, point, bytes(key)))


def _keypair(secret: bytes) -> Any:
    keypair = _ffi.new("secp256k1_keypair *")
    secret = _sized("secret", secret, SECRET_SIZE)
    _ok(_lib.secp256k1_keypair_create(_context, keypair, secret), "making a key pair")
    return keypair


def _serialize_x_only(point: Any) -> bytes:
    out = _ffi.new("unsigned char[32]")
    _ok(_lib.secp256k1_xonly_pubkey_serialize(_context, out, point), "serializing a key")
    return _take(out)


def x_only(secret: bytes) -> bytes:
    """The 32-byte x-only public key of ``secret`` (BIP340)."""
    point = _ffi.new("secp256k1_xonly_pubkey *")
    keypair = _keypair(secret)
    _ok(_lib.secp256k1_keypair_xonly_pub(_context, point, _ffi.NULL, keypair), "deriving a key")
    return _serialize_x_only(point)


def ellswift_create(secret: bytes, randomness: bytes) -> bytes:
    """A 64-byte ElligatorSwift encoding of the public key of ``secret``.

    ``randomness`` (32 bytes) picks one of the many encodings, so that it looks like noise.
    """
    out = _ffi.new("unsigned char[64]")
    secret = _sized("secret", secret, SECRET_SIZE)
    randomness = _sized("randomness", randomness, 32)
    _ok(_lib.secp256k1_ellswift_create(_context, out, secret, randomness), "encoding a key")
    return _take(out)


def x_only_from_ellswift(encoded: bytes) -> bytes:
    """The 32-byte x coordinate that a 64-byte ElligatorSwift encoding stands for.

    Every 64-byte string decodes to a point, so this refuses nothing but a wrong length.
    """
    point = _ffi.new("secp256k1_pubkey *")
    encoded = _sized("encoded key", encoded, ELLSWIFT_SIZE)
    _ok(_lib.secp256k1_ellswift_decode(_context, point, encoded), "decoding a key")
    x_point = _ffi.new("secp256k1_xonly_pubkey *")
    result = _lib.secp256k1_xonly_pubkey_from_pubkey(_context, x_point, _ffi.NULL, point)
    _ok(result, "dropping the y coordinate")
    return _serialize_x_only(x_point)


def ellswift_xdh(secret: bytes, ours: bytes, theirs: bytes, *, initiator: bool) -> bytes:
    """BIP324's x-only ECDH: the 32-byte secret shared by ``ours`` and ``theirs``.

    ``ours`` is the encoding of the public key of ``secret``. The result depends on who opened the
    connection, so both sides must agree on ``initiator``.
    """
    out = _ffi.new("unsigned char[32]")
    secret = _sized("secret", secret, SECRET_SIZE)
    ours = _sized("our encoded key", ours, ELLSWIFT_SIZE)
    theirs = _sized("their encoded key", theirs, ELLSWIFT_SIZE)
    first, second = (ours, theirs) if initiator else (theirs, ours)
    result = _lib.secp256k1_ellswift_xdh(
        _context,
        out,
        first,
        second,
        secret,
        0 if initiator else 1,
        _lib.secp256k1_ellswift_xdh_hash_function_bip324,
        _ffi.NULL,
    )
    _ok(result, "key agreement")
    return _take(out)


def schnorr_sign(secret: bytes, digest: bytes, randomness: bytes) -> bytes:
    """The 64-byte BIP340 signature of a 32-byte ``digest``; ``randomness`` is BIP340's aux_rand."""
    out = _ffi.new("unsigned char[64]")
    digest = _sized("digest", digest, DIGEST_SIZE)
    randomness = _sized("randomness", randomness, 32)
    result = _lib.secp256k1_schnorrsig_sign32(_context, out, digest, _keypair(secret), randomness)
    _ok(result, "signing")
    return _take(out)


def schnorr_verify(key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes) is a BIP340 signature of ``digest`` by the x-only ``key``.

    ``digest`` may have any length, as BIP340 allows; Sv2 always signs 32 bytes. A key or a
    signature of the wrong length, or a key that is no point, is a signature that does not verify.
    """
    if len(key) != X_ONLY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    point = _ffi.new("secp256k1_xonly_pubkey *")
    if not _lib.secp256k1_xonly_pubkey_parse(_context, point, bytes(key)):
        return False
    result = _lib.secp256k1_schnorrsig_verify(
        _context, bytes(signature), bytes(digest), len(digest), point
    )
    return bool(result)
