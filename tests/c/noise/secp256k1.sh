#!/usr/bin/env bash
# A libsecp256k1 with ElligatorSwift for the tests: the system's, or else one that is built into build/secp256k1/.
#
#   tests/c/noise/secp256k1.sh            prints the directory for PKG_CONFIG_PATH, empty for the system's library
#   tests/c/noise/secp256k1.sh --source   prints the directory of the source instead, for cross builds
#
# PYTHON names the interpreter whose pip fetches the source (default python3). Exit code 77: it could not be fetched; the
# reason is the last line.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../../.." && pwd)/build/secp256k1
source=$out/source/libsecp256k1
modules=(-DENABLE_MODULE_ELLSWIFT=1 -DENABLE_MODULE_EXTRAKEYS=1 -DENABLE_MODULE_SCHNORRSIG=1)

fetch() {
  [ -e "$out/source/complete" ] && return
  rm -rf "$out/source" "$out/sdist"
  "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
    --require-hashes --dest "$out/sdist" -r "$here/requirements.txt" >"$out/fetch.log" 2>&1 || {
    echo "skipped: the source of libsecp256k1 could not be fetched: $(tail -n 1 "$out/fetch.log")"
    exit 77
  }
  mkdir -p "$out/source"
  tar -xzf "$out"/sdist/*.tar.gz -C "$out/source" --strip-components=1
  touch "$out/source/complete"
}

build() {
  [ -e "$out/lib/pkgconfig/libsecp256k1.pc" ] && return
  local objects="$out/objects" file
  mkdir -p "$objects" "$out/lib/pkgconfig" "$out/include"
  for file in secp256k1 precomputed_ecmult precomputed_ecmult_gen; do
    "${CC:-cc}" -O2 -fPIC -fvisibility=hidden -DSECP256K1_STATIC "${modules[@]}" -I"$source/include" -c "$source/src/$file.c" -o "$objects/$file.o"
  done
  rm -f "$out/lib/libsecp256k1.a"
  "${AR:-ar}" rcs "$out/lib/libsecp256k1.a" "$objects"/*.o
  cp "$source"/include/*.h "$out/include/"
  cat >"$out/lib/pkgconfig/libsecp256k1.pc" <<PC
Name: libsecp256k1
Description: libsecp256k1 with ElligatorSwift, for tests
Version: 0.0.0
Cflags: -I$out/include
Libs: -L$out/lib -lsecp256k1
PC
}

system_has_ellswift() {
  command -v pkg-config >/dev/null && pkg-config --exists libsecp256k1 &&
    # shellcheck disable=SC2046
    printf '#include <secp256k1_ellswift.h>\nint main(void) { return secp256k1_ellswift_xdh == 0; }\n' |
    "${CC:-cc}" -x c - $(pkg-config --cflags --libs libsecp256k1) -o /dev/null 2>/dev/null
}

mkdir -p "$out"
exec 9>"$out/lock"
flock -w 300 9 || { echo "another build holds $out/lock" >&2; exit 1; }
if [ "${1:-}" = --source ]; then
  fetch
  echo "$source"
elif system_has_ellswift; then
  echo
else
  fetch
  build
  echo "$out/lib/pkgconfig"
fi
