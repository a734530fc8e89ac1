"""What libsv2 shows to a linker: the documented names and, to users of libsv2.h, no generic one.

Needs meson, ninja, a C compiler and nm.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import check_symbols
import cross

INCLUDE = cross.ROOT / "include"
NATIVE = """
#include <libsv2.h>

/* One call into every part of the native API. */
int main(void)
{
    uint8_t buffer[64] = {0};
    const uint8_t *data = buffer;
    size_t len = sizeof(buffer);
    sv2_stream stream;
    sv2_frame frame;
    sv2_tlv tlv;
    sv2_message message;
    int status = 0;
    sv2_stream_init(&stream, NULL, 0, 64);
    status |= sv2_stream_next(&stream, &frame, &data, &len);
    status |= sv2_message_decode(&message, NULL, &frame);
    status |= sv2_message_encode_frame(buffer, sizeof(buffer), &len, &message);
    status |= sv2_tlv_next(&tlv, &data, &len);
    status |= sv2_target_from_compact(buffer, 0x207fffff);
    status |= *sv2_message_name(0, 0) | *sv2_status_string(SV2_OK);
    return status == 0;
}
"""
SURFACE = """
#include <sv2.h>

int main(void)
{
    DecoderWrapper *decoder = new_decoder();
    CResult_CSv2Message_Sv2Error result = next_frame(decoder);
    int ok = is_ok(&result);
    free_decoder(decoder);
    return ok;
}
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library as meson builds it, shared and static."""
    return meson(tmp_path_factory.mktemp("build"))


def meson(folder: Path, *options: str) -> Path:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for tool in ("meson", "ninja", "gcc", "nm"):
        if shutil.which(tool, path=path) is None:
            pytest.skip(f"{tool} is not installed")
    setup = ["meson", "setup", "-Dlibrary=true", *options, str(folder), str(cross.ROOT)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        cross.run(setup)
        cross.run(["ninja", "-j2", "-C", str(folder)])
    return folder


def declared(header: Path) -> set[str]:
    """The names that a header and what it includes of ours declare as exported."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
    names = set(re.findall(r"^SV2_(?:FFI_)?API\b[^;(]*?(\w+)\s*[;(]", text, re.MULTILINE))
    for name in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
        names |= declared(header.parent / name)
    return names


def program_symbols(source: str, build: Path, folder: Path) -> set[str]:
    """The names defined in a program that is linked with libsv2.a."""
    (folder / "main.c").write_text(source)
    command = ["gcc", "-std=c11", "-Wall", "-Werror", f"-I{INCLUDE}", str(folder / "main.c")]
    cross.run([*command, str(build / "libsv2.a"), "-o", str(folder / "program")])
    output = cross.run(["nm", "-P", "--defined-only", str(folder / "program")])
    return {line.split()[0] for line in output.splitlines()}


def generic() -> set[str]:
    return {name for name in check_symbols.documented() if not name.startswith("sv2_")}


def test_the_shared_library_exports_what_is_documented(build: Path) -> None:
    found = check_symbols.exported(build / "libsv2.so")
    assert check_symbols.export_faults(found, check_symbols.documented()) == []


def test_the_headers_declare_what_is_documented() -> None:
    names = declared(INCLUDE / "libsv2.h") | declared(INCLUDE / "sv2.h")
    assert check_symbols.export_faults(names, check_symbols.documented()) == []


def test_the_list_is_in_order_and_has_no_name_twice() -> None:
    lines = check_symbols.DOCUMENTED.read_text().splitlines()
    names = [line for line in lines if not line.startswith("#")]
    assert names == sorted(set(names))


def test_without_the_surface_every_exported_name_is_prefixed(tmp_path: Path) -> None:
    found = check_symbols.exported(meson(tmp_path, "-Dffi=false") / "libsv2.so")
    assert found == check_symbols.documented() - generic()


def test_a_native_program_holds_no_generic_name(build: Path, tmp_path: Path) -> None:
    found = program_symbols(NATIVE, build, tmp_path)
    assert {"sv2_message_decode", "sv2_stream_next", "sv2_tlv_next"} <= found
    assert found & generic() == set()


def test_a_program_of_the_surface_holds_generic_names(build: Path, tmp_path: Path) -> None:
    found = program_symbols(SURFACE, build, tmp_path)
    assert {"is_ok", "next_frame", "encode"} <= found & generic()


def test_an_undocumented_and_a_missing_name_are_reported() -> None:
    assert check_symbols.export_faults({"sv2_new", "kept"}, {"kept", "sv2_old"}) == [
        "shows sv2_new, which is not documented",
        "does not show sv2_old, which is documented",
    ]
