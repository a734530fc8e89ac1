#!/usr/bin/env bash
# Builds the fuzz harnesses with AddressSanitizer and UndefinedBehaviorSanitizer and runs each.
#
#     tests/fuzz/run.sh SECONDS [HARNESS...]
#
# Prints executions, executions per second, CPU seconds, coverage (or the number of seeds) and findings
# of each; exits 1 after a finding, 2 where a harness cannot be built. What it makes is in build/fuzz.
#
#     FUZZ_ENGINE   libfuzzer (needs clang with its runtime), afl (needs AFL++) or standalone (any C
#                   compiler, $CC). Default: libfuzzer where it can be had, else standalone.
#     FUZZ_SEED     seed of the standalone generator; default 1.
#     FUZZ_MAX_LEN  longest input, in bytes; default 4096.
#     FUZZ_KEEP     1: with libfuzzer, minimise what was found into the committed corpus afterwards.
set -euo pipefail

cd "$(dirname "$0")/../.."
fuzz=tests/fuzz
all=(decode roundtrip encode stream surface tlv hash glue)
if [ $# -eq 0 ]; then
    echo "usage: tests/fuzz/run.sh SECONDS [HARNESS...]" >&2
    exit 2
fi
seconds=$1
shift
harnesses=("$@")
[ $# -gt 0 ] || harnesses=("${all[@]}")
max_len=${FUZZ_MAX_LEN:-4096}
core=(codec frame hash lookup messages status stream tlv)
warnings=(-std=c11 -Wall -Wextra -Wpedantic -Werror)
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all)

# Whether a compiler can link a program with these flags.
links() {
    echo 'int main(void) { return 0; }' | "$@" -x c -o /dev/null - 2>/dev/null
}

has_libfuzzer() {
    echo '#include <stddef.h>
    int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n);
    int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { return d == 0 && n == 1; }' \
        | clang -x c -fsanitize=fuzzer,address -o /dev/null - 2>/dev/null
}

engine=${FUZZ_ENGINE:-}
if [ -z "$engine" ]; then
    if has_libfuzzer; then engine=libfuzzer; else engine=standalone; fi
fi
out=build/fuzz/$engine
compile=(-D_DEFAULT_SOURCE -O1 -g -fno-omit-frame-pointer -Iinclude "-I$fuzz" -Isv2_ffi)
link=()
driver=$fuzz/driver.c
case $engine in
libfuzzer)
    cc=(clang)
    compile+=(-fsanitize=fuzzer-no-link "${sanitize[@]}")
    link=(-fsanitize=fuzzer "${sanitize[@]}")
    driver=
    ;;
afl)
    cc=(env AFL_USE_ASAN=1 AFL_USE_UBSAN=1 AFL_QUIET=1 afl-clang-fast)
    ;;
standalone)
    cc=("${CC:-cc}")
    if links "${cc[@]}" "${sanitize[@]}"; then
        compile+=("${sanitize[@]}")
        link=("${sanitize[@]}")
    else
        echo "fuzz: ${cc[*]} has no sanitizers; guard pages alone watch over bounds"
    fi
    ;;
*)
    echo "fuzz: unknown FUZZ_ENGINE $engine" >&2
    exit 2
    ;;
esac

object() { # SOURCE FLAGS...
    local source=$1 object
    shift
    object=$out/$(basename "$source" .c).o
    rm -f "$object" # a compiler that fails must not leave an old one to be linked
    "${cc[@]}" "${warnings[@]}" "${compile[@]}" "$@" -c "$source" -o "$object"
    echo "$object"
}

build_core() {
    local name
    mkdir -p "$out"
    common=()
    for name in "${core[@]}"; do common+=("$(object "csrc/$name.c")"); done
    common+=("$(object $fuzz/support.c)")
    # GNU extensions are AFL++'s own macros.
    [ -z "$driver" ] || common+=("$(object $driver -Wno-gnu -Wno-pedantic)")
}

build() { # HARNESS
    local objects=("${common[@]}")
    objects+=("$(object "$fuzz/fuzz_$1.c")")
    [ "$1" != surface ] || objects+=("$(object csrc/ffi.c -include $fuzz/surface_alloc.h)")
    [ "$1" != glue ] || objects+=("$(object sv2_ffi/_glue.c)")
    "${cc[@]}" "${link[@]}" "${objects[@]}" -o "$out/fuzz_$1"
}

# Each run_* writes its log to $log and returns non-zero after a finding.
run_libfuzzer() { # HARNESS
    local found=$out/corpus/$1 seeds=$out/seeds/$1
    rm -rf "$seeds"
    mkdir -p "$found" "$seeds"
    python3 "$fuzz/corpus.py" unpack "$fuzz/corpus/$1.pack" "$seeds"
    "$out/fuzz_$1" -max_total_time="$seconds" -max_len="$max_len" -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$findings/$1-" "$found" "$seeds" >"$log" 2>&1
}

run_standalone() { # HARNESS
    local program pack
    program=$PWD/$out/fuzz_$1
    pack=$PWD/$fuzz/corpus/$1.pack
    (cd "$findings" && timeout $((${seconds%.*} + 120)) "$program" -t "$seconds" \
        -s "${FUZZ_SEED:-1}" -m "$max_len" "$pack") >"$log" 2>&1
}

run_afl() { # HARNESS
    local seeds=$out/seeds/$1 state=$out/state/$1
    rm -rf "$seeds" "$state"
    mkdir -p "$seeds" "$state"
    python3 "$fuzz/corpus.py" unpack "$fuzz/corpus/$1.pack" "$seeds"
    find "$seeds" -size +"$((max_len / 1024 + 1))"k -delete
    AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 \
        afl-fuzz -V "$seconds" -m none -t 2000 -i "$seeds" -o "$state" -- "$out/fuzz_$1" \
        >"$log" 2>&1 || return 1
    find "$state/default/crashes" "$state/default/hangs" -type f -name 'id*' \
        -exec cp {} "$findings" \;
    [ -z "$(find "$state/default/crashes" "$state/default/hangs" -type f -name 'id*')" ]
}

executions() { # HARNESS
    case $engine in
    libfuzzer) sed -n 's/^stat::number_of_executed_units: *//p' "$log" ;;
    standalone) sed -n 's/^\([0-9]*\) executions.*/\1/p' "$log" ;;
    afl) sed -n 's/^execs_done *: *//p' "$out/state/$1/default/fuzzer_stats" ;;
    esac
}

covered() { # HARNESS
    case $engine in
    libfuzzer) sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/edges \1, corpus \3/p' \
        "$log" | tail -1 ;;
    standalone) sed -n 's/.* executions, \([0-9]* seeds\).*/\1/p' "$log" ;;
    afl) sed -n 's/^edges_found *: */edges /p; s/^corpus_count *: */, corpus /p' \
        "$out/state/$1/default/fuzzer_stats" | sort -r | tr -d '\n' ;;
    esac
}

# The smallest inputs that reach what old and new ones reach, and the seeds: messages are tables to the
# library, so that coverage alone does not tell one from another.
keep() { # HARNESS
    local merged=$out/merged/$1
    rm -rf "$merged" "$out/fresh"
    mkdir -p "$merged"
    "$out/fuzz_$1" -merge=1 -max_len=1000 "$merged" "$out/corpus/$1" "$out/seeds/$1" >"$log" 2>&1
    python3 "$fuzz/corpus.py" seed "$out/fresh"
    cp "$out/fresh/$1/"* "$merged"
    python3 "$fuzz/corpus.py" pack "$merged" "$fuzz/corpus/$1.pack"
}

report() { # HARNESS FOUND CPU
    local n
    n=$(executions "$1")
    printf '%-10s %12s %9s %8s  %-26s %s\n' "$1" "${n:-?}" \
        "$(awk -v n="${n:-0}" -v t="$seconds" 'BEGIN { printf "%d", n / (t > 0 ? t : 1) }')" "$3" \
        "$(covered "$1")" "$2"
}

TIMEFORMAT='%U %S'
findings=$out/findings
mkdir -p "$findings"
build_core || exit 2
status=0
printf '%s, %s seconds each\n%-10s %12s %9s %8s  %-26s %s\n' "$engine" "$seconds" harness executions \
    exec/s 'CPU s' coverage findings
for harness in "${harnesses[@]}"; do
    build "$harness" || exit 2
    log=$out/$harness.log
    found=none
    { time "run_$engine" "$harness" 2>/dev/null || found="see $log and $findings"; } 2>"$out/time"
    cpu=$(awk '{ printf "%.0f", $1 + $2 }' "$out/time")
    report "$harness" "$found" "$cpu"
    if [ "$found" != none ]; then
        status=1
        tail -40 "$log"
    elif [ "$engine" = libfuzzer ] && [ "${FUZZ_KEEP:-0}" = 1 ]; then
        keep "$harness"
    fi
done
exit $status
