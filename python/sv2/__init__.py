"""Stratum V2 roles and connections in Python, on the ``sv2_ffi`` codec.

Where to look:

- :mod:`sv2.noise`: handshake, certificates, authority keys and transport ciphers (sans-I/O).
- :mod:`sv2.connection`: one connection as a state machine, bytes in and messages out (sans-I/O).
- :mod:`sv2.extensions`: extension negotiation (0x0001) and the TLV of extension 0x0002.
- :mod:`sv2.net`: asyncio ``connect`` and ``serve`` with time-outs, queues and limits.
- :mod:`sv2.cli`: the ``sv2`` command.
"""
