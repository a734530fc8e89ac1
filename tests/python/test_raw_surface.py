"""sv2_ffi.lib and sv2_ffi.ffi: the declarations fit the compiled library, to the last field."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_vectors import FRAMES

import sv2_ffi
from sv2_ffi import ffi, lib

C_TYPES = {"U8": 1, "U16": 2, "U32": 4, "U64": 8, "F32": 4, "BOOL": 1, "U256": 32}
ROOT = Path(__file__).parent.parent.parent


def c_name(index: int) -> str:
    """The C struct of message number index, by the union that holds them all."""
    return str(ffi.typeof("sv2_message").fields[1][1].type.fields[index][0])


@pytest.mark.parametrize("index", range(44))
def test_every_struct_has_its_fields_where_the_library_has_them(index: int) -> None:
    descriptor = lib.sv2_descriptor_at(index)
    cls = sv2_ffi.MESSAGES[descriptor.extension_type & 0x7FFF, descriptor.message_type]
    struct = ffi.typeof(f"sv2_{c_name(index)}")
    assert [name for name, _ in struct.fields] == [field.name for field in cls.FIELDS]
    for i, (field, (name, info)) in enumerate(zip(cls.FIELDS, struct.fields, strict=True)):
        assert descriptor.fields[i].offset == info.offset == ffi.offsetof(struct, name)
        if field.type in C_TYPES:
            assert ffi.sizeof(info.type) == C_TYPES[field.type]
    assert bool(descriptor.extension_type & lib.SV2_CHANNEL_BIT) == cls.channel_message


@pytest.mark.parametrize("frame", FRAMES[::6], ids=lambda f: f[:6].hex())
def test_typed_functions_decode_and_encode(frame: bytes) -> None:
    header = sv2_ffi.parse_header(frame)
    key = header.extension_type & 0x7FFF, header.message_type
    index = list(sv2_ffi.MESSAGES).index(key)
    name = f"sv2_{c_name(index)}"
    message, report = ffi.new(f"{name} *"), ffi.new("sv2_report *")
    payload = ffi.from_buffer("uint8_t[]", frame[6:])
    assert getattr(lib, f"{name}_decode")(message, report, payload, len(payload)) == lib.SV2_OK
    assert report.offset == getattr(lib, f"{name}_size")(message) == header.length
    out, length = ffi.new("uint8_t[]", len(frame)), ffi.new("size_t *")
    encode_frame = getattr(lib, f"{name}_encode_frame")
    assert encode_frame(out, len(frame), length, message) == lib.SV2_OK
    assert bytes(ffi.buffer(out, length[0])) == frame
    encode = getattr(lib, f"{name}_encode")
    assert encode(out, len(frame), report, message) == lib.SV2_OK
    assert bytes(ffi.buffer(out, report.offset)) == frame[6:]


def test_the_surface_of_sv2_h_goes_round() -> None:
    decoder, encoder = lib.new_decoder(), lib.new_encoder()
    decoder, encoder = ffi.gc(decoder, lib.free_decoder), ffi.gc(encoder, lib.free_encoder)
    frame = next(f for f in FRAMES if f[2] == 0x71)
    at = 0
    while True:
        window = lib.get_writable(decoder)
        ffi.memmove(window.data, frame[at : at + window.len], window.len)
        at += window.len
        result = ffi.new("CResult_CSv2Message_Sv2Error *", lib.next_frame(decoder))
        if lib.is_ok(result):
            break
        assert result.err._0.tag == lib.Sv2Error_MissingBytes
    message = result.ok._0
    assert message.tag == lib.CSv2Message_NewTemplate
    wanted = sv2_ffi.decode(frame)
    assert isinstance(wanted, sv2_ffi.template_distribution.NewTemplate)
    template = message.new_template._0
    assert template.template_id == wanted.template_id
    path = template.merkle_path
    assert [bytes(ffi.buffer(path.data[i].data, 32)) for i in range(path.len)] == wanted.merkle_path
    encoded = lib.encode(ffi.addressof(message), encoder)
    assert encoded.tag == lib.CResult_Ok
    assert bytes(ffi.buffer(encoded.ok._0.data, encoded.ok._0.len)) == frame
    busy = lib.encode(ffi.addressof(message), encoder)
    assert busy.err._0.tag == lib.Sv2Error_EncoderBusy
    lib.flush_encoder(encoder)
    lib.drop_sv2_message(message)


def test_a_stream_in_c_is_reachable() -> None:
    stream, frame = ffi.new("sv2_stream *"), ffi.new("sv2_frame *")
    lib.sv2_stream_init(stream, ffi.NULL, 0, lib.SV2_MAX_PAYLOAD)
    data = ffi.from_buffer("uint8_t[]", FRAMES[0] + FRAMES[1])
    at, left = ffi.new("const uint8_t **", data), ffi.new("size_t *", len(data))
    for wanted in FRAMES[:2]:
        assert lib.sv2_stream_next(stream, frame, at, left) == lib.SV2_OK
        assert bytes(ffi.buffer(frame.payload, frame.length)) == wanted[6:]
    assert lib.sv2_stream_next(stream, frame, at, left) == lib.SV2_NEED_MORE


def test_a_solved_block_hashes_below_its_target() -> None:
    block = bytes.fromhex((ROOT / "tests/data/regtest/solved-block.hex").read_text())
    digest, target = ffi.new("uint8_t[32]"), ffi.new("uint8_t[32]")
    lib.sv2_sha256d(digest, block[:80], 80)
    bits = int.from_bytes(block[72:76], "little")
    assert lib.sv2_target_from_compact(target, bits) == lib.SV2_OK
    assert lib.sv2_u256_cmp(digest, target) <= 0


def test_constants_are_the_headers() -> None:
    assert lib.MESSAGE_TYPE_RECONNECT == 0x04
    assert lib.MESSAGE_TYPE_SET_GROUP_CHANNEL == 0x25
    assert lib.SV2_MINING_REQUIRES_VERSION_ROLLING == 4
    assert lib.SV2_TLV_USER_IDENTITY_MAX_LENGTH == 32
    assert sv2_ffi.extensions.EXTENSION_WORKER_HASHRATE == lib.SV2_EXTENSION_WORKER_HASHRATE
    assert sv2_ffi.MAX_PAYLOAD_SIZE == 0xFFFFFF
