#!/usr/bin/env bash
# Builds our C codec as a program with sri-codec's line protocol: build/peers/bin/native-codec.
#
# With AddressSanitizer and UndefinedBehaviorSanitizer; any finding ends the program. CC chooses the compiler (default cc).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
out="$root/build/peers/bin"

# All of the core; csrc/ffi.c is the only file that allocates and is not part of it.
sources=()
for source in "$root"/csrc/*.c; do
  [ "$(basename "$source")" = ffi.c ] || sources+=("$source")
done

mkdir -p "$out"
"${CC:-cc}" -std=c11 -O1 -g -Wall -Wextra -Wpedantic -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
  -I"$root/include" -I"$root/csrc" "$here/native_codec.c" "${sources[@]}" -o "$out/native-codec.$$"
mv "$out/native-codec.$$" "$out/native-codec"
