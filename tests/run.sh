#!/usr/bin/env bash
# All tests, from a fresh clone, with one command.
#
# usage: tests/run.sh [--full]
#
#   --full   adds what takes long: more fuzzing, more differential cases, the largest load tests, and
#            a bitcoind, which is built first; once it is there, every run uses it
#
# Makes its own virtual environment under build/. Missing system packages are installed where this
# runs as root on a Debian-like system, and named with the command that installs them elsewhere:
# without a compiler and Python's headers nothing can run, without the others some tests skip and
# say why. Environment: PYTHON chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

full="" fuzz_seconds=2 # for each harness
case "${1:-}" in
"") ;;
--full) full=--full fuzz_seconds=60 ;;
*)
    echo "usage: tests/run.sh [--full]" >&2
    exit 2
    ;;
esac

python=${PYTHON:-python3}
work=$PWD/build/test
venv=$work/venv
mkdir -p "$work/logs"
failed=()

# --- system packages ------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }
compiles() { echo 'int main(void) { return 0; }' | "$@" -x c -o "$work/probe" - >/dev/null 2>&1; }

python_is_ready() {
    "$python" - >/dev/null 2>&1 <<'PROBE'
import os, sys, sysconfig, venv, ensurepip
assert sys.version_info >= (3, 10)
assert os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
PROBE
}

# Sets `needed` (nothing runs without) and `wanted` (some tests skip without).
look_for_packages() {
    needed=() wanted=()
    compiles cc && has c++ || needed+=(build-essential)
    has git || needed+=(git)
    python_is_ready || needed+=(python3 python3-venv python3-dev)
    has clang || wanted+=(clang)
    if has clang && ! compiles clang -fsanitize=address; then
        wanted+=("libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev")
    fi
    has cmake || wanted+=(cmake)
    has pkg-config || wanted+=(pkg-config)
    has valgrind || wanted+=(valgrind)
    has arm-none-eabi-gcc || wanted+=(gcc-arm-none-eabi)
    has riscv64-unknown-elf-gcc || wanted+=(gcc-riscv64-unknown-elf)
    has s390x-linux-gnu-gcc || wanted+=(gcc-s390x-linux-gnu libc6-dev-s390x-cross)
    has qemu-s390x || wanted+=(qemu-user)
    has qemu-system-arm || wanted+=(qemu-system-arm)
    has qemu-system-riscv32 || wanted+=(qemu-system-misc)
    [ -e /usr/include/openssl/evp.h ] || wanted+=(libssl-dev)
    [ -e /usr/include/mbedtls/version.h ] || wanted+=(libmbedtls-dev)
    if [ -n "$full" ]; then # for Bitcoin Core
        [ -e /usr/include/event2/event.h ] || wanted+=(libevent-dev)
        [ -e /usr/include/boost/version.hpp ] || wanted+=(libboost-dev)
        [ -e /usr/include/zmq.h ] || wanted+=(libzmq3-dev)
    fi
}

can_install() { [ "$(id -u)" -eq 0 ] && has apt-get; }

install_packages() {
    echo "installing: $*"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y --no-install-recommends "$@"; } \
        >"$work/logs/apt.log" 2>&1 || {
        tail -n 5 "$work/logs/apt.log"
        # One package that a system does not have must not keep the others away.
        for package in "$@"; do
            apt-get install -y --no-install-recommends "$package" >>"$work/logs/apt.log" 2>&1 ||
                echo "not to be had here: $package"
        done
    }
}

prepare_system() {
    look_for_packages
    if can_install && [ $((${#needed[@]} + ${#wanted[@]})) -ne 0 ]; then
        install_packages "${needed[@]}" "${wanted[@]}"
        look_for_packages # clang's runtime can be named only once clang is there
        [ ${#wanted[@]} -eq 0 ] || install_packages "${wanted[@]}"
        look_for_packages
    fi
    if [ ${#wanted[@]} -ne 0 ]; then
        echo "some tests will skip; for all of them: apt-get install ${wanted[*]}"
    fi
    has cargo || echo "the tests against the Rust peers will skip: cargo (Rust 1.85 or newer) is not there"
    if [ ${#needed[@]} -ne 0 ]; then
        echo "nothing can run without: apt-get install ${needed[*]}" >&2
        exit 1
    fi
}

# --- steps ----------------------------------------------------------------------------------------

# step NAME COMMAND...: runs it, its output in a log that is shown where it failed. Exit code 77 is a
# skip, with the reason in the last line.
step() {
    local name=$1 log="$work/logs/$1.log" start=$SECONDS
    local code=0
    shift
    "$@" >"$log" 2>&1 || code=$?
    if [ "$code" -eq 0 ]; then
        printf 'ok      %-22s %4d s\n' "$name" $((SECONDS - start))
    elif [ "$code" -eq 77 ]; then
        printf 'skipped %-22s %s\n' "$name" "$(tail -n 1 "$log")"
    else
        printf 'FAILED  %-22s %4d s   (%s)\n' "$name" $((SECONDS - start)) "$log"
        tail -n 60 "$log" | sed 's/^/    /'
        failed+=("$name")
    fi
}

make_venv() {
    local curve noise=()
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --upgrade pip
    # With Noise in C where its libraries can be had; its tests skip elsewhere.
    if [ -e /usr/include/openssl/evp.h ] && has pkg-config; then
        if curve=$(PYTHON="$venv/bin/python" tests/c/noise/secp256k1.sh); then
            noise=(-Csetup-args=-Dnoise_openssl=enabled)
        else
            [ $? -eq 77 ] || return 1
            echo "Noise in C is not built: $curve"
            curve=
        fi
    fi
    # Built as users get it: an isolated build, a wheel, installed.
    "$venv/bin/pip" uninstall --quiet --yes sv2-ffi
    PKG_CONFIG_PATH="${curve:-}:${PKG_CONFIG_PATH:-}" \
        "$venv/bin/pip" install --quiet --disable-pip-version-check "${noise[@]}" ".[test]"
}

# c_tests NAME CC CXX [MESON OPTION...]
c_tests() {
    local build="$work/c-$1" cc=$2 cxx=$3
    shift 3
    if [ ! -e "$build/build.ninja" ]; then
        CC=$cc CXX=$cxx meson setup "$build" -Dtests=true -Dwerror=true "$@"
    fi
    meson test -C "$build" --print-errorlogs
}

sanitized=(-Dlibrary=false -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false)

prepare_system
step environment make_venv
[ ${#failed[@]} -eq 0 ] || exit 1
export PATH="$venv/bin:$PATH"

step lint tools/lint.sh
step peers tests/peers/build.sh
step btcd tests/peers/btcd.sh
[ ! -x build/btcd/btcd ] || export BTCD="$PWD/build/btcd/btcd"
[ -z "$full" ] || step bitcoind tests/peers/bitcoind.sh
if [ -x build/bitcoind/bitcoind ]; then
    export BITCOIND="${BITCOIND:-$PWD/build/bitcoind/bitcoind}"
    export BITCOIN_CLI="${BITCOIN_CLI:-$PWD/build/bitcoind/bitcoin-cli}"
fi

# Beside the Python tests, which wait for most of their time. Its lines come when pytest is done.
compiled_tests() {
    step c-gcc c_tests gcc gcc g++
    step c-gcc-sanitized c_tests gcc-sanitized gcc g++ "${sanitized[@]}"
    if has clang; then
        step c-clang c_tests clang clang clang++
        step c-clang-sanitized c_tests clang-sanitized clang clang++ "${sanitized[@]}"
    fi
    step fuzz tests/fuzz/run.sh "$fuzz_seconds"
    step interop-cpp examples/interop-cpp/run.sh
    step interop-cpp-no-meson examples/interop-cpp/run.sh --no-meson
    [ ${#failed[@]} -eq 0 ] || echo "FAILED: ${failed[*]}"
    [ ${#failed[@]} -eq 0 ]
}
(failed=() && compiled_tests) >"$work/logs/compiled-tests.log" 2>&1 &
compiled=$!
trap 'kill "$compiled" 2>/dev/null || true' EXIT

start=$SECONDS
python_result=0
# Two files at a time: a file's tests share what they build and start.
pytest -q -n 2 --dist loadfile $full >"$work/logs/pytest.log" 2>&1 || python_result=$?
python_seconds=$((SECONDS - start))
wait "$compiled" || failed+=(compiled-tests)
trap - EXIT
cat "$work/logs/compiled-tests.log"

# pytest's part comes last: its closing line is the summary of the run.
grep -v -E '^[.sFExX]+ +\[ *[0-9]+%\]$|^bringing up nodes' "$work/logs/pytest.log"
[ "$python_result" -eq 0 ] || failed+=(pytest)
echo "python tests took $python_seconds s, everything $SECONDS s"

if [ ${#failed[@]} -ne 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo "all tests passed"
