#!/usr/bin/env bash
# Measures the codec: native C, the sv2.h surface, Python, and, where cargo can build it, upstream's
# C library through the same C++ source. Prints one table, ratios of this run, and instruction counts.
#
# usage: tests/bench/run.sh
#
# A quiet machine gives better numbers; ratios within one run hold anyway. Needs what tests/run.sh
# has set up (its virtual environment is used where it exists).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=build/bench
python=${PYTHON:-python3}
if [ -z "${PYTHON:-}" ] && [ -x build/test/venv/bin/python ]; then
    python=build/test/venv/bin/python
fi
mkdir -p "$work"

cflags=(-O3 -DNDEBUG -std=gnu11 -Iinclude)
for source in csrc/*.c; do
    cc "${cflags[@]}" -c "$source" -o "$work/$(basename "$source" .c).o"
done
objects=("$work"/{codec,frame,hash,lookup,messages,status,stream,tlv}.o)
cc "${cflags[@]}" tests/bench/bench_native.c "${objects[@]}" -o "$work/native"
c++ -O3 -std=c++17 -Iinclude tests/bench/bench_surface.cpp "${objects[@]}" "$work/ffi.o" -o "$work/surface"
programs=("native C=$work/native" "sv2.h=$work/surface")

if command -v cargo >/dev/null && tests/peers/build.sh upstream-ffi >"$work/peers.log" 2>&1; then
    c++ -O3 -std=c++17 -Ibuild/peers/upstream tests/bench/bench_surface.cpp \
        build/peers/upstream/libsv2_ffi.a -lpthread -ldl -lm -o "$work/upstream"
    programs+=("upstream's library=$work/upstream")
else
    echo "no comparison with upstream's library: cargo cannot build it here"
fi

"$work/native" >"$work/results.jsonl"
"$work/surface" "sv2.h" >>"$work/results.jsonl"
[ ! -x "$work/upstream" ] || "$work/upstream" "upstream's library" >>"$work/results.jsonl"
"$python" tests/bench/bench_python.py >>"$work/results.jsonl"

instructions=()
if command -v valgrind >/dev/null; then
    "$python" tests/bench/instructions.py "$work/instructions.json" "${programs[@]}"
    instructions=("$work/instructions.json")
fi
"$python" tests/bench/table.py "$work/results.jsonl" "${instructions[@]}"
