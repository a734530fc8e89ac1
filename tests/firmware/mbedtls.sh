#!/usr/bin/env bash
# The source of mbedTLS for cross builds: fetched once, into build/mbedtls/. Prints its directory.
#
# PYTHON names the interpreter whose pip fetches it (default python3). Exit code 77: it could not be fetched; the reason is
# the last line.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/build/mbedtls

fetch() {
  [ -e "$out/source/complete" ] && return
  rm -rf "$out/source" "$out/sdist"
  timeout 250 "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary pynng \
    --require-hashes --dest "$out/sdist" -r "$here/mbedtls_requirements.txt" >"$out/fetch.log" 2>&1 || {
    echo "skipped: the source of mbedTLS could not be fetched: $(tail -n 1 "$out/fetch.log")"
    exit 77
  }
  mkdir -p "$out/source"
  tar -xzf "$out"/sdist/*.tar.gz -C "$out/source" --strip-components=2 --wildcards \
    '*/mbedtls/include' '*/mbedtls/library' '*/mbedtls/LICENSE'
  touch "$out/source/complete"
}

mkdir -p "$out"
exec 9>"$out/lock"
flock -w 300 9 || { echo "another build holds $out/lock" >&2; exit 1; }
fetch
echo "$out/source"
