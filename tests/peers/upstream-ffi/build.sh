#!/usr/bin/env bash
# Compiles abi_probe.cpp, and the surface benchmark, once per header and links each with both libraries.
#
#   tests/peers/upstream-ffi/build.sh
#
# Needs what `tests/peers/build.sh upstream-ffi` leaves in build/peers/upstream. Results, in build/peers/abi:
#   probe-HEADER-LIBRARY    HEADER and LIBRARY are each published or ours
#   bench-LIBRARY           tests/bench/bench_surface.cpp, -O2, with the header of its library
# CC and CXX choose the compilers (default cc and c++).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
published="$root/build/peers/upstream"
out="$root/build/peers/abi"
CC=${CC:-cc}
CXX=${CXX:-c++}

# The surface as a program that links libsv2.a gets it: freestanding core and csrc/ffi.c in one archive.
build_our_library() {
  local objects="$out/objects"
  rm -rf "$objects" "$out/libsv2.a"
  mkdir -p "$objects"
  for source in "$root"/csrc/*.c; do
    "$CC" -std=c11 -O2 -Wall -Wextra -I"$root/include" -I"$root/csrc" -c "$source" -o "$objects/$(basename "$source" .c).o"
  done
  ar rcs "$out/libsv2.a" "$objects"/*.o
}

header_dir() {
  case "$1" in
    published) echo "$published" ;;
    ours) echo "$root/include" ;;
  esac
}

library() {
  case "$1" in
    published) echo "$published/libsv2_ffi.a -lpthread -ldl -lm" ;;
    ours) echo "$out/libsv2.a" ;;
  esac
}

# SOURCE HEADER OBJECT. The published header is first in line for its own directory only: constants.inc lies there too.
compile() {
  "$CXX" -std=c++17 -O2 -Wall -Wextra -I"$(header_dir "$2")" -I"$published" -c "$1" -o "$3"
}

# OBJECT LIBRARY PROGRAM
link() {
  local libraries
  read -ra libraries <<<"$(library "$2")"
  "$CXX" "$1" "${libraries[@]}" -o "$3.new"
  mv "$3.new" "$3"
}

mkdir -p "$out"
exec 9>"$out/lock"
flock -w 300 9
build_our_library
for header in published ours; do
  compile "$here/abi_probe.cpp" "$header" "$out/probe-$header.o"
  for library in published ours; do
    link "$out/probe-$header.o" "$library" "$out/probe-$header-$library"
  done
  compile "$root/tests/bench/bench_surface.cpp" "$header" "$out/bench-$header.o"
  link "$out/bench-$header.o" "$header" "$out/bench-$header"
done
