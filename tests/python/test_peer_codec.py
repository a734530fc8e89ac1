"""Our codec against the published Rust crates: same verdict, same bytes when encoded again.

Both forms of ours take part: the native C codec, as a program built with sanitizers, and the Python
binding, which takes field values from the wire in code of its own. Needs cargo and a C compiler:
tests/peers/build.sh builds the peer. SV2_PEER_CASES and SV2_PEER_SEED change the number of cases
and the seed.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import sv2_ffi

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

from payloads import CHANNEL_BIT, LAYOUTS, Case, cases, large_cases, load_vectors, locate
from peer_programs import ROOT, VECTORS, native_codec, peer_program, run

SEED = int(os.environ.get("SV2_PEER_SEED", "20261121"))
CASES = int(os.environ.get("SV2_PEER_CASES", "100000"))
FULL_RUNS, FULL_CASES = 20, 100_000
PEER_SECONDS = 300

_STATUS = {0: "accepted", 1: "rejected", 2: "panicked", 3: "unknown", 4: "not encodable"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one codec makes of a payload.

    `status` is a value of `_STATUS`. When accepted, `extension_type` (with channel bit) and
    `payload` are what the codec sends for the message that it decoded, with the TLVs behind it.
    Else `detail` says why.
    """

    status: str
    extension_type: int = 0
    payload: bytes = b""
    detail: str = ""

    def same_as(self, other: Outcome) -> bool:
        return (self.status, self.extension_type, self.payload) == (
            other.status,
            other.extension_type,
            other.payload,
        )

    def brief(self) -> str:
        return f"{self.status} {self.detail} {self.payload[:40].hex()}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the codecs that is meant to be, and why."""

    name: str
    reason: str
    applies: Callable[[Case, Outcome, Outcome], bool]


def _unknown_protocol(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return (
        case.key == (0, 0x00)
        and case.payload[0] > 2
        and theirs.detail == "ValueIsNotAValidProtocol"
        and ours.status == "accepted"
        and case.payload.startswith(ours.payload)
    )


# Everything that may differ; docs/compatibility.md has the same rows. A difference that no row
# explains fails the test, and so does a row that explains nothing.
DIFFERENCES = (
    Difference(
        "unknown-protocol",
        "SetupConnection.protocol is a U8: a value that we do not know decodes, so that a server "
        "can answer unsupported-protocol. The crates refuse the message.",
        _unknown_protocol,
    ),
)


def our_outcome(case: Case) -> Outcome:
    try:
        message = sv2_ffi.decode_payload(case.extension_type, case.message_type, case.payload)
    except sv2_ffi.DecodeError as error:
        return Outcome("rejected", detail=type(error).__name__)
    if isinstance(message, sv2_ffi.UnknownMessage):
        return Outcome("unknown")
    frame = sv2_ffi.encode(message, tlvs=message.tlvs)
    extension_type, message_type = struct.unpack_from("<HB", frame)
    assert message_type == case.message_type
    assert int.from_bytes(frame[3:6], "little") == len(frame) - sv2_ffi.HEADER_SIZE
    payload, trailing = frame[sv2_ffi.HEADER_SIZE :], message.trailing
    # What follows the last field is kept whole, also where it is no TLV (3.4.3).
    assert case.payload.endswith(trailing)
    tlvs = b"".join(struct.pack("<HBH", t[0], t[1], len(t[2])) + t[2] for t in message.tlvs)
    assert trailing.startswith(tlvs)
    assert len(payload) - len(tlvs) + len(trailing) == len(case.payload)
    return Outcome("accepted", extension_type, payload)


def _request(case: Case) -> bytes:
    return (
        struct.pack("<HBI", case.extension_type, case.message_type, len(case.payload))
        + case.payload
    )


def _read_answers(data: bytes) -> Iterable[Outcome]:
    at = 0
    while at < len(data):
        status, extension_type, length = struct.unpack_from("<BHI", data, at)
        at += 7
        body = data[at : at + length]
        at += length
        if _STATUS[status] == "accepted":
            yield Outcome("accepted", extension_type, body)
        else:
            yield Outcome(_STATUS[status], detail=body.decode())


def outcomes_of(program: Path, batch: list[Case]) -> list[Outcome]:
    done = run(program, stdin=b"".join(map(_request, batch)), seconds=PEER_SECONDS)
    assert done.returncode == 0, done.stderr
    outcomes = list(_read_answers(done.stdout))
    assert len(outcomes) == len(batch)
    return outcomes


def explain(case: Case, ours: Outcome, theirs: Outcome) -> str | None:
    """The name of the difference; "" where there is none, `None` where no row allows it."""
    if ours.same_as(theirs):
        return ""
    return next((d.name for d in DIFFERENCES if d.applies(case, ours, theirs)), None)


@dataclass(frozen=True, slots=True)
class Programs:
    peer: Path
    native: Path


def compare(
    programs: Programs, batch: list[Case]
) -> tuple[Counter[str], Counter[tuple[tuple[int, int], str]]]:
    """Fails on unexplained differences; else counts explanations, and outcomes by message."""
    explanations: Counter[str] = Counter()
    outcomes: Counter[tuple[tuple[int, int], str]] = Counter()
    unexplained = []
    theirs_and_native = zip(
        outcomes_of(programs.peer, batch), outcomes_of(programs.native, batch), strict=True
    )
    for case, (theirs, native) in zip(batch, theirs_and_native, strict=True):
        ours = our_outcome(case)
        outcomes[case.key, ours.status] += 1
        name = explain(case, ours, theirs)
        if name is None or not native.same_as(ours):
            unexplained.append(
                f"{case.key[0]:#06x}/{case.key[1]:#04x} {case.origin} {case.payload[:300].hex()}: "
                f"theirs {theirs.brief()}, native {native.brief()}, binding {ours.brief()}"
            )
        else:
            explanations[name] += 1
    shown = "\n".join(unexplained[:10])
    assert not unexplained, f"{len(unexplained)} unexplained differences, the first:\n{shown}"
    return explanations, outcomes


@pytest.fixture(scope="module")
def programs() -> Programs:
    peer = peer_program("sri-codec")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc); on Debian: apt-get install gcc")
    return Programs(peer, native_codec())


@pytest.fixture(scope="module")
def vectors() -> list[Case]:
    return load_vectors(VECTORS)


def test_the_layouts_describe_all_44_messages_as_the_vectors_have_them(vectors: list[Case]) -> None:
    assert len(LAYOUTS) == 44
    assert {case.key for case in vectors} == set(LAYOUTS) == set(sv2_ffi.MESSAGES)
    for case in vectors:
        layout, channel_message = LAYOUTS[case.key]
        assert locate(layout, case.payload) is not None
        assert channel_message == (case.extension_type != case.key[0])


def test_published_vectors_are_the_same_to_both(programs: Programs, vectors: list[Case]) -> None:
    explanations, outcomes = compare(programs, vectors)
    assert set(explanations) == {""}
    assert {status for _, status in outcomes} == {"accepted"}


def test_generated_and_damaged_payloads_are_the_same_to_both(
    programs: Programs, vectors: list[Case]
) -> None:
    print(f"seed {SEED}, {CASES} cases")
    batch = list(cases(SEED, CASES, vectors))
    explanations, outcomes = compare(programs, batch)
    print(dict(explanations))
    for difference in DIFFERENCES:
        assert explanations[difference.name] > 0, (
            f"no case shows this difference: {difference.name}"
        )
    for key in LAYOUTS:
        for status in ("accepted", "rejected"):
            assert outcomes[key, status] >= CASES // 2000, f"{key} was hardly ever {status}"
    assert sum(count for (_, status), count in outcomes.items() if status == "unknown") > 0
    # Where the crates stopped at the protocol, the rest of the message is compared without it.
    known = [
        replace(c, payload=b"\0" + c.payload[1:]) for c in batch if c.key == (0, 0) and c.payload
    ]
    explanations, _ = compare(programs, known)
    assert explanations == {"": len(known)}


@pytest.mark.full
@pytest.mark.parametrize("run_number", range(1, FULL_RUNS + 1))
def test_more_seeds_show_no_other_difference(
    programs: Programs, vectors: list[Case], run_number: int
) -> None:
    seed = SEED + run_number
    print(f"seed {seed}, {FULL_CASES} cases")
    explanations, _ = compare(programs, list(cases(seed, FULL_CASES, vectors)))
    assert set(explanations) == {"", *(difference.name for difference in DIFFERENCES)}


def test_the_largest_payloads_are_the_same_to_both(programs: Programs) -> None:
    explanations, outcomes = compare(programs, list(large_cases()))
    assert set(explanations) == {""}
    assert {status for _, status in outcomes} == {"accepted", "rejected"}


def test_a_worker_name_on_a_share_is_the_same_to_both(programs: Programs) -> None:
    """Extension 0x0002 (worker-specific hashrate): type and length are little-endian."""
    share = sv2_ffi.mining.SubmitSharesExtended(1, 2, 3, 4, 5, 6, b"\7\7")
    frame = sv2_ffi.encode(share, tlvs=(sv2_ffi.Tlv(0x0002, 0x01, b"worker"),))
    assert frame.endswith(bytes.fromhex("0200 01 0600") + b"worker")
    case = Case(CHANNEL_BIT, 0x1B, frame[sv2_ffi.HEADER_SIZE :], "share with a worker name")
    [theirs] = outcomes_of(programs.peer, [case])
    assert theirs == our_outcome(case) == Outcome("accepted", CHANNEL_BIT, case.payload)


def test_every_difference_is_a_row_of_the_compatibility_page() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
    for difference in DIFFERENCES:
        assert f"| `{difference.name}` |" in page
