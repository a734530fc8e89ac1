#!/usr/bin/env bash
# Builds the peers that the tests and benchmarks compare with, from the crate registry, into build/peers/ of the checkout.
#
#   tests/peers/build.sh [PEER...]      PEER: sri-codec, sri-noise, upstream-ffi; all of them without an argument
#
# Results: build/peers/bin/sri-codec, build/peers/bin/sri-noise, build/peers/upstream/{libsv2_ffi.a,sv2.h,constants.inc}.
# Exit code 0: built. 77: skipped, the reason is the last line. 1: a build failed.
# PEERS_JOBS sets the number of parallel compilers (default 2).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/build/peers
export CARGO_TARGET_DIR="$out/target"
OLDEST_RUST=1.85.0

skip() {
  echo "skipped peers: $1"
  exit 77
}

fail() {
  echo "$1" >&2
  exit 1
}

# Replaces a result only where it changed, and never under a program that runs it.
place() {
  cmp -s "$1" "$2" && return
  cp "$1" "$2.new"
  mv "$2.new" "$2"
}

compile() {
  cargo build --manifest-path "$here/Cargo.toml" --release --locked --offline --quiet -j "${PEERS_JOBS:-2}" -p "$1" ||
    fail "peer $1: cargo build failed"
}

build_program() {
  compile "$1"
  mkdir -p "$out/bin"
  place "$CARGO_TARGET_DIR/release/$1" "$out/bin/$1"
}

upstream_source() {
  cargo metadata --manifest-path "$here/Cargo.toml" --format-version 1 --locked --offline |
    python3 -c 'import json, pathlib, sys
packages = json.load(sys.stdin)["packages"]
print(next(pathlib.Path(p["manifest_path"]).parent for p in packages if p["name"] == "sv2_ffi"))'
}

# The static library of the published crate, the header that the crate carries, and the list of constants in that header.
build_upstream() {
  compile sv2_ffi
  mkdir -p "$out/upstream"
  place "$CARGO_TARGET_DIR/release/libsv2_ffi.a" "$out/upstream/libsv2_ffi.a"
  place "$(upstream_source)/sv2.h" "$out/upstream/sv2.h"
  sed -nE 's/^static const [a-z0-9_]+ ([A-Z0-9_]+) =.*/VALUE(\1);/p' "$out/upstream/sv2.h" >"$out/upstream/constants.inc"
  [ -s "$out/upstream/constants.inc" ] || fail "peer upstream-ffi: no constants found in its header"
}

build_peer() {
  case "$1" in
    sri-codec | sri-noise) build_program "$1" ;;
    upstream-ffi) build_upstream ;;
    *) fail "no such peer: $1" ;;
  esac
  echo "built $1"
}

command -v cargo >/dev/null || skip "cargo is not installed (https://rustup.rs, or the packages cargo and rustc)"
have=$(rustc --version | cut -d' ' -f2)
oldest=$(printf '%s\n' "$OLDEST_RUST" "$have" | sort -V | head -n 1)
[ "$oldest" = "$OLDEST_RUST" ] || skip "rustc $have is older than $OLDEST_RUST, which the locked crates need"
mkdir -p "$out"
exec 9>"$out/lock"
flock -w 900 9 || fail "another build holds $out/lock"
cargo fetch --manifest-path "$here/Cargo.toml" --locked --quiet 2>"$out/fetch.log" ||
  skip "the crates could not be fetched: $(tail -n 1 "$out/fetch.log")"
[ $# -gt 0 ] || set -- sri-codec sri-noise upstream-ffi
for peer in "$@"; do build_peer "$peer"; done
