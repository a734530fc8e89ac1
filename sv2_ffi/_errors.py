"""The exceptions of sv2_ffi. Each is data: what was wrong, where, and what was expected."""

from __future__ import annotations


class Sv2Error(Exception):
    """Base of all exceptions that sv2_ffi raises for bad input or bad values."""


class EncodeError(Sv2Error, ValueError):
    """A message cannot be encoded: a field has the wrong type or does not fit its wire type.

    Attributes:
        message: name of the message as in the spec.
        field: name of the field at fault, or None where the whole message is.
        reason: what is wrong, without the peer's data.
    """

    def __init__(self, message: str, field: str | None, reason: str) -> None:
        self.message = message
        self.field = field
        self.reason = reason
        where = f"{message}.{field}" if field else message
        super().__init__(f"{where}: {reason}")

    def __reduce__(self) -> tuple[type[EncodeError], tuple[str, str | None, str]]:
        return type(self), (self.message, self.field, self.reason)


class DecodeError(Sv2Error, ValueError):
    """Base of what decoding raises: the peer's bytes are at fault."""


class MalformedMessage(DecodeError):
    """A frame arrived whole, and its payload is not the message that its header names.

    Attributes:
        message: name of the message as in the spec.
        field: name of the field at fault.
        offset: where the field begins in the payload, in bytes.
        reason: what is wrong.
    """

    def __init__(self, message: str, field: str, offset: int, reason: str) -> None:
        self.message = message
        self.field = field
        self.offset = offset
        self.reason = reason
        super().__init__(f"{message}.{field} at payload offset {offset}: {reason}")

    def __reduce__(self) -> tuple[type[MalformedMessage], tuple[str, str, int, str]]:
        return type(self), (self.message, self.field, self.offset, self.reason)


class FrameTooLarge(DecodeError):
    """A frame's header announces more than the limit.

    Attributes:
        extension_type: as on the wire.
        message_type: as on the wire.
        size: of the whole frame, header included, in bytes.
        limit: largest frame that is accepted, header included, in bytes.
    """

    def __init__(self, extension_type: int, message_type: int, size: int, limit: int) -> None:
        self.extension_type = extension_type
        self.message_type = message_type
        self.size = size
        self.limit = limit
        super().__init__(
            f"frame of {size} bytes (extension 0x{extension_type:04x}, type 0x{message_type:02x}) "
            f"is over the limit of {limit}"
        )

    def __reduce__(self) -> tuple[type[FrameTooLarge], tuple[int, int, int, int]]:
        return type(self), (self.extension_type, self.message_type, self.size, self.limit)


class TruncatedFrame(DecodeError):
    """The bytes are not one whole frame: too few, or some are left over.

    Attributes:
        expected: size of the frame that the header announces, or of a header.
        found: number of bytes given.
    """

    def __init__(self, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"a frame of {expected} bytes was expected, {found} bytes were given")

    def __reduce__(self) -> tuple[type[TruncatedFrame], tuple[int, int]]:
        return type(self), (self.expected, self.found)
