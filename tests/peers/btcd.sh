#!/usr/bin/env bash
# Builds btcd, a Bitcoin node in Go, from the Go module registry into build/btcd/ of the checkout: the
# node client and the template provider are tested against it.
#
# Exit code 0: it is there. 77: skipped, the reason is the last line. 1: the build failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=v0.26.2

if [ -x build/btcd/btcd ]; then
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "btcd: go is not there"
    exit 77
fi
if ! go list -m "github.com/btcsuite/btcd@$version" >/dev/null 2>build/btcd.log; then
    echo "btcd: the Go module registry does not answer, or go is too old: $(tail -n 1 build/btcd.log)"
    exit 77
fi
GOBIN=$PWD/build/btcd go install "github.com/btcsuite/btcd@$version"
