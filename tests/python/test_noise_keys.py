"""Authority and static keys: their text, their files, and what they never show."""

from __future__ import annotations

import copy
import os
import pickle
import stat
import traceback
from pathlib import Path

import base58
import pytest
from sv2.noise import (
    AuthorityPublicKey,
    AuthoritySecretKey,
    KeyFault,
    KeyFormatError,
    SecretKey,
    StaticSecretKey,
)

# Spec 4.7.1.
TEXT = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh"
RAW = "76637000979c1c11af0c300bcd8c7fe48610fce9b9c11e3daee35ae0b08a7455"

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")


def fault_of(text: str) -> KeyFault:
    with pytest.raises(KeyFormatError) as caught:
        AuthorityPublicKey.from_text(text)
    return caught.value.fault


def test_the_published_authority_key_reads_and_writes() -> None:
    key = AuthorityPublicKey.from_text(TEXT)
    assert bytes(key).hex() == RAW
    assert str(key) == TEXT
    assert AuthorityPublicKey(bytes.fromhex(RAW)) == key
    assert hash(AuthorityPublicKey(bytes.fromhex(RAW))) == hash(key)


@pytest.mark.parametrize("at", range(len(TEXT)))
def test_a_wrong_character_anywhere_is_refused(at: int) -> None:
    other = "2" if TEXT[at] != "2" else "3"
    fault = fault_of(TEXT[:at] + other + TEXT[at + 1 :])
    assert fault is KeyFault.CHECKSUM
    for never in "0OIl +/\n\u00e9":
        assert fault_of(TEXT[:at] + never + TEXT[at + 1 :]) is KeyFault.CHARACTER


@pytest.mark.parametrize("length", range(len(TEXT)))
def test_a_shortened_key_is_refused(length: int) -> None:
    assert fault_of(TEXT[:length]) in (
        {KeyFault.CHARACTER} if length == 0 else {KeyFault.CHECKSUM, KeyFault.LENGTH}
    )


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"\x01\x00" + bytes.fromhex(RAW)[:-1], KeyFault.LENGTH),
        (b"\x01\x00" + bytes.fromhex(RAW) + b"\x00", KeyFault.LENGTH),
        (bytes.fromhex(RAW), KeyFault.LENGTH),
        (b"\x00\x01" + bytes.fromhex(RAW), KeyFault.VERSION),
        (b"\x02\x00" + bytes.fromhex(RAW), KeyFault.VERSION),
        (b"\x01\x00" + b"\xff" * 32, KeyFault.VALUE),
        (b"\x01\x00" + bytes(32), KeyFault.VALUE),
    ],
)
def test_a_good_checksum_does_not_save_a_bad_key(payload: bytes, fault: KeyFault) -> None:
    assert fault_of(base58.b58encode_check(payload).decode()) is fault


def test_long_text_is_refused_before_it_is_decoded() -> None:
    assert fault_of("2" * 10_000_000) is KeyFault.LENGTH


@pytest.mark.parametrize("size", [0, 31, 33])
def test_raw_keys_of_the_wrong_length_are_refused(size: int) -> None:
    for make in (AuthorityPublicKey, AuthoritySecretKey, StaticSecretKey):
        with pytest.raises(KeyFormatError) as caught:
            make(b"\1" * size)
        assert caught.value.fault is KeyFault.LENGTH


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_a_secret_out_of_range_is_refused(secret: bytes) -> None:
    with pytest.raises(KeyFormatError) as caught:
        AuthoritySecretKey(secret)
    assert caught.value.fault is KeyFault.VALUE


def test_secret_text_is_base58check_of_the_32_bytes_alone() -> None:
    secret = bytes(range(1, 33))
    key = AuthoritySecretKey(secret)
    assert base58.b58decode_check(key.reveal()) == secret
    assert AuthoritySecretKey.from_text(key.reveal()) == key


def test_a_key_pair_of_the_rust_roles_matches() -> None:
    # The pair of keys in the example configurations of the Rust pool.
    secret = AuthoritySecretKey.from_text("mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n")
    assert str(secret.public_key) == "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72"


def test_generated_keys_differ() -> None:
    assert len({AuthoritySecretKey.generate() for _ in range(16)}) == 16


@posix
def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    key = AuthoritySecretKey.generate()
    path = tmp_path / "authority.key"
    previous = os.umask(0)
    try:
        key.save(path)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert AuthoritySecretKey.load(path) == key
    assert os.listdir(tmp_path) == ["authority.key"]


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_a_key_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "authority.key"
    AuthoritySecretKey.generate().save(path)
    path.chmod(mode)
    with pytest.raises(KeyFormatError, match=f"{mode:04o}") as caught:
        AuthoritySecretKey.load(path)
    assert caught.value.fault is KeyFault.FILE_MODE


def test_a_key_file_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    first, second = AuthoritySecretKey.generate(), AuthoritySecretKey.generate()
    path = tmp_path / "authority.key"
    first.save(path)
    with pytest.raises(FileExistsError):
        second.save(path)
    assert AuthoritySecretKey.load(path) == first
    second.save(path, overwrite=True)
    assert AuthoritySecretKey.load(path) == second
    assert os.listdir(tmp_path) == ["authority.key"]


@pytest.mark.parametrize("content", ["", "\n", "not a key", "2" * 1000, TEXT])
def test_a_file_that_is_no_secret_key_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "authority.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyFormatError):
        AuthoritySecretKey.load(path)


@pytest.mark.parametrize("kind", [AuthoritySecretKey, StaticSecretKey])
def test_a_secret_key_shows_only_its_public_half(kind: type[SecretKey]) -> None:
    key = kind.generate()
    shown = f"{key} {key!r} {[key]} {vars(type(key))}"
    assert key.x_only.hex() in shown
    assert key.reveal() not in shown
    assert key._secret.hex() not in shown
    assert repr(key._secret) not in shown


def test_a_secret_key_does_not_travel_by_pickle_or_copy() -> None:
    key = AuthoritySecretKey.generate()
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="authority secret key"):
            leak(key)


def test_errors_about_secrets_do_not_repeat_them() -> None:
    text = AuthoritySecretKey.generate().reveal()
    for bad in (text[:-1], text[:-1] + "0", text + text, "2" + text):
        with pytest.raises(KeyFormatError) as caught:
            AuthoritySecretKey.from_text(bad)
        # Without source lines, as a logger prints it: messages of the whole chain of errors.
        chain = "".join(traceback.format_exception_only(caught.value))
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert bad not in chain
        assert text[:-1] not in chain


def test_keys_of_different_kinds_are_not_equal() -> None:
    secret = bytes(range(1, 33))
    assert AuthoritySecretKey(secret) != StaticSecretKey(secret)
    assert AuthoritySecretKey(secret) == AuthoritySecretKey(secret)
