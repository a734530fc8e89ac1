#!/usr/bin/env bash
# Builds the Noise harness with AddressSanitizer and UndefinedBehaviorSanitizer and runs it.
#
#     tests/fuzz/noise.sh SECONDS
#
# Apart from run.sh because it needs a libsecp256k1 with ElligatorSwift (tests/c/noise/secp256k1.sh) and
# libcrypto. Exit code 1: a finding; 2: it cannot be built; 77: something is missing, named in the last
# line. What it makes is in build/fuzz/noise. FUZZ_ENGINE: libfuzzer or standalone, as for run.sh.
set -euo pipefail

cd "$(dirname "$0")/../.."
seconds=${1:?"usage: tests/fuzz/noise.sh SECONDS"}
out=build/fuzz/noise
fuzz=tests/fuzz
warnings=(-std=c11 -Wall -Wextra -Wpedantic -Werror)
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all)
mkdir -p "$out/corpus" "$out/findings"

curve=$(tests/c/noise/secp256k1.sh) || {
    echo "$curve"
    exit 77
}
flags=$(PKG_CONFIG_PATH=${curve##*$'\n'} pkg-config --cflags --libs libsecp256k1 libcrypto) || {
    echo "skipped: libssl-dev or pkg-config is not installed"
    exit 77
}

engine=${FUZZ_ENGINE:-}
if [ -z "$engine" ]; then
    engine=standalone
    if printf 'int LLVMFuzzerTestOneInput(void);\nint LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -x c -fsanitize=fuzzer,address -o /dev/null - 2>/dev/null; then
        engine=libfuzzer
    fi
fi
sources=(csrc/{codec,frame,hash,lookup,messages,status,stream,tlv}.c
    csrc/noise/{certificate,handshake,key_text,symmetric,transport,curve,openssl}.c
    $fuzz/support.c $fuzz/noise_fuzz.c)
compile=(-D_DEFAULT_SOURCE -O1 -g -fno-omit-frame-pointer -Iinclude -I$fuzz "${warnings[@]}" "${sanitize[@]}")
# shellcheck disable=SC2086
case $engine in
libfuzzer) clang "${compile[@]}" -fsanitize=fuzzer "${sources[@]}" -o "$out/noise" $flags || exit 2 ;;
standalone) "${CC:-cc}" "${compile[@]}" "${sources[@]}" $fuzz/driver.c -o "$out/noise" $flags || exit 2 ;;
*)
    echo "noise: unknown FUZZ_ENGINE $engine" >&2
    exit 2
    ;;
esac

if [ "$engine" = libfuzzer ]; then
    "$out/noise" -max_total_time="$seconds" -max_len=8192 -len_control=0 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$out/findings/" "$out/corpus" >"$out/log" 2>&1 || {
        tail -n 40 "$out/log"
        exit 1
    }
    sed -n 's/^stat::number_of_executed_units: *\(.*\)/noise: \1 executions, no finding/p' "$out/log"
else
    program=$PWD/$out/noise
    (cd "$out/findings" && timeout $((${seconds%.*} + 120)) "$program" -t "$seconds" -m 8192) >"$out/log" 2>&1 || {
        tail -n 40 "$out/log"
        exit 1
    }
    sed -n 's/^\([0-9]*\) executions.*/noise: \1 executions, no finding/p' "$out/log"
fi
