"""Noise for Sv2 (spec chapter 4): encrypted, and on the server's side authenticated, sessions.

Sans-I/O: bytes in, bytes out. Most programs meet only the keys, :class:`CertificatePolicy` and
:class:`ServerIdentity`, and leave the rest to :mod:`sv2.connection`::

    authority = AuthoritySecretKey.generate()
    identity = ServerIdentity.self_issued(authority)          # the server's side
    policy = CertificatePolicy(authority.public_key)          # the client's side

    engine = default_engine()
    client, server = engine.initiator(), engine.responder(identity)
    act_2, server_session = server.read_act_1(client.write_act_1())
    certificate, client_session = client.read_act_2(act_2)
    policy.check(certificate)                                 # or CertificateError
"""

from sv2.noise.certificate import (
    Certificate,
    CertificatePolicy,
    ClockPolicy,
    EarliestTime,
    NoClock,
    ServerIdentity,
    WallClock,
    issue_certificate,
)
from sv2.noise.choice import default_engine
from sv2.noise.engine import Engine, Session, sealed_payload_size
from sv2.noise.errors import (
    CertificateError,
    CertificateFault,
    HandshakeError,
    KeyFault,
    KeyFormatError,
    NoiseError,
    TransportError,
)
from sv2.noise.handshake import PythonEngine
from sv2.noise.keys import AuthorityPublicKey, AuthoritySecretKey, SecretKey, StaticSecretKey

__all__ = [
    "AuthorityPublicKey",
    "AuthoritySecretKey",
    "Certificate",
    "CertificateError",
    "CertificateFault",
    "CertificatePolicy",
    "ClockPolicy",
    "EarliestTime",
    "Engine",
    "HandshakeError",
    "KeyFault",
    "KeyFormatError",
    "NoClock",
    "NoiseError",
    "PythonEngine",
    "SecretKey",
    "ServerIdentity",
    "Session",
    "StaticSecretKey",
    "TransportError",
    "WallClock",
    "default_engine",
    "issue_certificate",
    "sealed_payload_size",
]
