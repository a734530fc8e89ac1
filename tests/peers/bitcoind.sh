#!/usr/bin/env bash
# Builds Bitcoin Core's bitcoind and bitcoin-cli, without wallet, into build/bitcoind/ of the checkout, from the source that
# the PyPI package py-bitcoinkernel carries: the node client, the template provider and the test node are tested against them.
# It takes minutes; tests/run.sh does it with --full, and uses what is there without.
#
# PYTHON names the interpreter whose pip fetches the source (default python3). Exit code 0: they are there. 77: skipped, the
# reason is the last line. 1: the build failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=$PWD/build/bitcoind
[ -x "$out/bitcoind" ] && [ -x "$out/bitcoin-cli" ] && exit 0

for tool in cmake c++ pkg-config; do
    command -v "$tool" >/dev/null || { echo "bitcoind: $tool is not there"; exit 77; }
done
for header in event2/event.h boost/version.hpp zmq.h; do
    echo "#include <$header>" | c++ -E -x c++ - >/dev/null 2>&1 || {
        echo "bitcoind: $header is not there; apt-get install libevent-dev libboost-dev libzmq3-dev"
        exit 77
    }
done

rm -rf "$out"
mkdir -p "$out/source"
"${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
    --require-hashes --dest "$out/sdist" -r tests/peers/bitcoind_requirements.txt >"$out/fetch.log" 2>&1 || {
    echo "bitcoind: the source could not be fetched: $(tail -n 1 "$out/fetch.log")"
    exit 77
}
tar -xzf "$out"/sdist/*.tar.gz -C "$out/source" --strip-components=3 --wildcards '*/depend/bitcoin/*'
cmake -S "$out/source" -B "$out/build" -DCMAKE_BUILD_TYPE=Release -DENABLE_WALLET=OFF -DENABLE_IPC=OFF -DWITH_ZMQ=ON \
    -DBUILD_TESTS=OFF -DBUILD_BENCH=OFF -DBUILD_TX=OFF -DBUILD_UTIL=OFF
cmake --build "$out/build" --parallel "$(nproc)" --target bitcoind bitcoin-cli
mv "$out"/build/bin/{bitcoind,bitcoin-cli} "$out/"
rm -rf "$out/build" "$out/source" "$out/sdist"
