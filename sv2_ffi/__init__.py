"""Stratum V2 messages for Python, over the C library libsv2.

    import sv2_ffi
    from sv2_ffi.common import SetupConnectionSuccess

    frame = sv2_ffi.encode(SetupConnectionSuccess(used_version=2, flags=0))
    assert sv2_ffi.decode(frame) == SetupConnectionSuccess(2, 0)

Message classes live in one module per subprotocol: common, mining, job_declaration,
template_distribution and extensions. Wire types map to: U8 to U64 int; F32 float; BOOL bool;
STR0_255 str (UTF-8, any other byte by surrogateescape); B0_* bytes; U256 bytes, 32 as on the wire;
OPTION value or None; SEQ list. docs/messages.md has all of them.

lib and ffi are the raw surfaces, sv2.h and libsv2.h, as cffi gives them.
"""

from __future__ import annotations

from sv2_ffi import common, extensions, job_declaration, mining, template_distribution
from sv2_ffi._codec import (
    HEADER_SIZE,
    MAX_FRAME_SIZE,
    MAX_PAYLOAD_SIZE,
    MESSAGES,
    AnyMessage,
    Decoder,
    FrameHeader,
    UnknownMessage,
    decode,
    decode_payload,
    encode,
    parse_header,
)
from sv2_ffi._errors import (
    DecodeError,
    EncodeError,
    FrameTooLarge,
    MalformedMessage,
    Sv2Error,
    TruncatedFrame,
)
from sv2_ffi._message import Message, Tlv, parse_tlvs
from sv2_ffi._native import ffi, lib

__version__ = "0.1.0"

__all__ = [
    "HEADER_SIZE",
    "MAX_FRAME_SIZE",
    "MAX_PAYLOAD_SIZE",
    "MESSAGES",
    "AnyMessage",
    "DecodeError",
    "Decoder",
    "EncodeError",
    "FrameHeader",
    "FrameTooLarge",
    "MalformedMessage",
    "Message",
    "Sv2Error",
    "Tlv",
    "TruncatedFrame",
    "UnknownMessage",
    "common",
    "decode",
    "decode_payload",
    "encode",
    "extensions",
    "ffi",
    "job_declaration",
    "lib",
    "mining",
    "parse_header",
    "parse_tlvs",
    "template_distribution",
]
