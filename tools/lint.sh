#!/usr/bin/env bash
# The checks that read the tree and run nothing of it: generated files, C format, Python lint, format
# and types. Run by tests/run.sh and by pre-commit, from any folder.
#
# usage: tools/lint.sh [--fix]     --fix writes what it can instead of complaining
#
# Needs ruff, mypy and clang-format on PATH in the versions of pyproject.toml ("test" extra): other
# versions format otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

# C and C++ written by hand; messages.h and messages.c are the generator's.
mapfile -t c_files < <(git ls-files '*.c' '*.h' '*.cpp' '*.hpp' |
    grep -v -e '/messages\.[ch]$' -e '^sv2_ffi/_cdef\.h$' -e '^tests/firmware/vectors\.h$' -e '^sv2_ffi/_noise_cdef\.h$')

if [ "${1:-}" = --fix ]; then
    python3 tools/sv2gen.py
    clang-format -i "${c_files[@]}"
    ruff check --quiet --fix .
    ruff format --quiet .
fi
python3 tools/sv2gen.py --check
clang-format --dry-run --Werror "${c_files[@]}"
ruff check --quiet .
ruff format --quiet --check .
mypy
