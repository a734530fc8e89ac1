#!/usr/bin/env bash
# C++ and Python talk Stratum V2 to each other over a template that Bitcoin Core made; Bitcoin
# Core's own consensus engine judges the blocks they solve. Exit code 0 only if it accepted both.
#
# usage: run.sh [--no-meson]
#
#   --no-meson   compile everything with cc and c++ alone, as a firmware build would
#
# Environment: PYTHON, CC, CXX choose the interpreter and the compilers.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
data="$root/tests/data/regtest"
work="$root/build/interop-cpp"
kernel="py-bitcoinkernel==0.1.0a5" # Bitcoin Core's consensus engine as a wheel

cc=${CC:-cc}
cxx=${CXX:-c++}
python=${PYTHON:-}
with_meson=yes
children=()

# --- saying what happens --------------------------------------------------------------------------

step() { printf '\n[%s] %s\n' "$1" "$2"; }
note() { printf '  %-15s | %s\n' "run.sh" "$1"; }

fail() {
    printf '\nFAILED: %s\n' "$1" >&2
    exit 1
}

# --- children: each has a deadline, none outlives this script -------------------------------------

cleanup() {
    local child
    for child in "${children[@]}"; do
        kill "$child" 2>/dev/null || true
    done
    rm -rf "$work/scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits for a child and forgets it; the result is its exit code.
finished() {
    local code=0 child remaining=()
    wait "$1" 2>/dev/null || code=$? # without the shell's own remark on a crash
    for child in "${children[@]}"; do
        [ "$child" = "$1" ] || remaining+=("$child")
    done
    children=(${remaining[@]+"${remaining[@]}"})
    return "$code"
}

# bounded SECONDS COMMAND...: in the background and waited for, so that Ctrl-C is heard at once.
bounded() {
    timeout --kill-after=5 "$@" &
    children+=("$!")
    finished "$!"
}

# quietly SECONDS WHAT COMMAND...: shows the output only if the command fails.
quietly() {
    local seconds=$1 what=$2 code=0
    shift 2
    bounded "$seconds" "$@" >"$work/log" 2>&1 || code=$?
    [ "$code" -eq 0 ] && return 0
    tail -n 40 "$work/log" >&2
    fail "$what: $(reason "$code" "$seconds")"
}

# reason CODE SECONDS: an exit code in words.
reason() {
    if [ "$1" -eq 124 ]; then
        echo "not done within $2 seconds"
    elif [ "$1" -gt 128 ]; then
        echo "ended by signal $(($1 - 128))"
    else
        echo "exit code $1"
    fi
}

# --- what the machine has to bring ----------------------------------------------------------------

find_python() {
    local candidate
    [ -n "$python" ] && return
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if supported "$candidate"; then
            python=$candidate
            return
        fi
    done
    python=python3
}

# The range for which the consensus engine has wheels.
supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null
}

# Can it do its work, headers and linker included?
compiles() { # COMPILER LANGUAGE HEADER
    printf '#include <%s>\nint main(void) { return 0; }\n' "$3" |
        timeout 60 "$1" -x "$2" -o "$work/probe" - >/dev/null 2>&1
}

# The Debian packages that are not there yet, in `missing`. A python3.12 has packages of its own.
find_missing() {
    local series
    local header='import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")'
    missing=()
    find_python
    series=$(basename "$python")
    [[ $series == python3.* ]] || series=python3
    compiles "$cc" c stdint.h && compiles "$cxx" c++ string || missing+=(build-essential)
    command -v "$python" >/dev/null || missing+=("$series")
    "$python" -c 'import venv, ensurepip' 2>/dev/null || missing+=("$series-venv")
    "$python" -c "$header" 2>/dev/null || missing+=("$series-dev")
    rm -f "$work/probe"
}

check_machine() {
    local chosen
    for chosen in "${PYTHON-}" "${CC-}" "${CXX-}"; do
        [ -z "$chosen" ] || command -v "$chosen" >/dev/null || fail "there is no program $chosen"
    done
    find_missing
    if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        note "installing ${missing[*]} with apt-get"
        export DEBIAN_FRONTEND=noninteractive
        quietly 120 "apt-get update" apt-get update
        quietly 300 "apt-get install" apt-get install -y --no-install-recommends "${missing[@]}"
        find_missing
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        fail "this machine lacks ${missing[*]}. Install with:
    sudo apt-get install ${missing[*]}"
    fi
    supported "$python" || fail "$python is $("$python" -V); this needs Python 3.10 to 3.13.
    Name another one: PYTHON=python3.12 $0"
    note "$("$python" -V), $("$cc" --version | head -n 1)"
}

# --- building -------------------------------------------------------------------------------------

make_venv() {
    local identity='import pip, sys; print(sys.base_prefix, sys.version)'
    # Keep the one that is there if it is whole and of this very Python.
    if [ "$("$work/venv/bin/python" -c "$identity" 2>&1)" != \
        "$("$python" -c "${identity/pip, /}" 2>&1)" ]; then
        rm -rf "$work/venv"
        quietly 120 "making the virtual environment" "$python" -m venv "$work/venv"
    fi
    python="$work/venv/bin/python"
    pip=("$python" -m pip --disable-pip-version-check install --quiet)
}

# The library as a package would install it, and the Python package as pip does.
build_with_meson() {
    local prefix="$work/prefix"
    quietly 180 "installing meson and ninja" "${pip[@]}" meson ninja
    PATH="$work/venv/bin:$PATH"
    rm -rf "$work/meson" "$prefix"
    CC=$cc quietly 120 "meson setup" \
        meson setup --buildtype=release --prefix="$prefix" --libdir=lib "$work/meson" "$root"
    quietly 300 "meson install" meson install -C "$work/meson"
    include="$prefix/include"
    library=("$prefix/lib/libsv2.a")
    note "meson built and installed libsv2.a with sv2.h and libsv2.h"
    CC=$cc quietly 300 "installing sv2_ffi" "${pip[@]}" "$root"
    note "pip built and installed sv2_ffi"
}

# Every C file on its own, no configuration; then the Python extension from the same objects.
build_plain() {
    local source object site="$work/site/sv2_ffi" suffix python_include
    include="$root/include"
    library=()
    for source in "$root"/csrc/*.c; do
        object="$work/$(basename "$source" .c).o"
        quietly 60 "compiling $source" \
            "$cc" -std=c11 -O2 -fPIC -I"$include" -c "$source" -o "$object"
        library+=("$object")
    done
    note "$cc compiled csrc/*.c: ${#library[@]} objects"

    quietly 180 "installing cffi" "${pip[@]}" "cffi>=2.1"
    python_include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
    rm -rf "$site"
    mkdir -p "$site"
    cp "$root"/sv2_ffi/*.py "$site"
    quietly 60 "writing the Python extension" "$work/venv/bin/cffi-gen-src" read-sources \
        sv2_ffi._native "$root/sv2_ffi/_cdef.h" "$root/sv2_ffi/_prelude.h" "$work/_native.c"
    quietly 120 "compiling the Python extension" "$cc" -shared -fPIC -O2 -I"$include" \
        -I"$root/sv2_ffi" -I"$python_include" "$work/_native.c" "$root/sv2_ffi/_glue.c" \
        "${library[@]}" -o "$site/_native$suffix"
    export PYTHONPATH="$work/site"
    note "$cc compiled sv2_ffi"
}

build_programs() {
    local program helper
    for helper in bitcoin connection; do
        compile_cxx -c "$here/$helper.cpp" -o "$work/$helper.o"
    done
    for program in template-provider template-client; do
        compile_cxx "$here/$program.cpp" "$work/bitcoin.o" "$work/connection.o" "${library[@]}" \
            -o "$work/$program"
    done
    note "$cxx compiled template-provider and template-client"
}

compile_cxx() {
    quietly 120 "compiling C++" "$cxx" -std=c++17 -O2 -Wall -Wextra -I"$include" "$@"
}

# --- the conversation -----------------------------------------------------------------------------

# converse PROVIDER... -- CLIENT...: the provider announces its address on stdout, which is where
# this script tells the client to go. Both narrate on stderr. Leaves the block in $work/block.hex.
converse() {
    local address="" provider provider_pid provider_code=0 client_code=0
    provider=()
    while [ "$1" != -- ]; do
        provider+=("$1")
        shift
    done
    shift
    rm -rf "$work/scratch" "$work/block.hex"
    mkdir -p "$work/scratch"
    mkfifo "$work/scratch/address"
    timeout --kill-after=5 30 "${provider[@]}" "$work/block.hex" >"$work/scratch/address" 2>&3 &
    provider_pid=$!
    children+=("$provider_pid")
    if read -r -t 20 address <"$work/scratch/address"; then
        bounded 30 "$@" "$address" 2>&3 || client_code=$?
    fi
    finished "$provider_pid" || provider_code=$?
    [ -n "$address" ] || fail "the provider announced no address: $(reason "$provider_code" 30)"
    [ "$client_code" -eq 0 ] && [ "$provider_code" -eq 0 ] && return 0
    fail "client: $(reason "$client_code" 30); provider: $(reason "$provider_code" 30)"
}

judge() {
    bounded 60 "$python" "$here/judge.py" "$data/chain.hex" "$work/block.hex" ||
        fail "the block is not accepted"
}

# --- all of it ------------------------------------------------------------------------------------

main() {
    case "$#:${1-}" in
    0:) ;;
    1:--no-meson) with_meson=no ;;
    1:-h | 1:--help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) fail "unknown arguments: $*; see $0 --help" ;;
    esac
    mkdir -p "$work"
    exec 3>&1

    step 1/4 "Looking at this machine"
    check_machine

    step 2/4 "Building in ${work#"$PWD"/}"
    make_venv
    quietly 300 "installing Bitcoin Core's consensus engine" \
        "${pip[@]}" --only-binary=:all: "$kernel"
    if [ "$with_meson" = yes ]; then build_with_meson; else build_plain; fi
    build_programs

    step 3/4 "A C++ template provider (sv2.h) and a Python client (sv2_ffi)"
    converse "$work/template-provider" "$data/template-session.jsonl" -- \
        "$python" "$here/template_client.py"
    judge

    step 4/4 "A Python template provider (sv2_ffi) and a C++ client (sv2.h)"
    converse "$python" "$here/template_provider.py" "$data/getblocktemplate.json" -- \
        "$work/template-client"
    judge

    printf '\nBoth blocks were accepted by the consensus engine of Bitcoin Core.\n'
}

main "$@"
