"""Ping and Pong: two messages of an experimental extension, made of what sv2_ffi does not know.

Extension numbers from 0x4000 to 0x7fff are for experiments (spec 3.4). A message that has no class
travels as UnknownMessage, which keeps its numbers and its payload.
"""

from sv2_ffi import AnyMessage, UnknownMessage

EXTENSION = 0x4001
PING, PONG = 0x00, 0x01


def ping(payload: bytes) -> UnknownMessage:
    return UnknownMessage(EXTENSION, PING, payload)


def pong(payload: bytes) -> UnknownMessage:
    return UnknownMessage(EXTENSION, PONG, payload)


def is_ping(message: AnyMessage) -> bool:
    return (message.extension_type, message.message_type) == (EXTENSION, PING)


def is_pong(message: AnyMessage) -> bool:
    return (message.extension_type, message.message_type) == (EXTENSION, PONG)
