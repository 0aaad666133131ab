#!/bin/sh
# cppcheck over what a build folder compiles: cppcheck.sh BUILD. What it knows of files is kept in BUILD/cppcheck.
# ctuuninitvar is left out: it takes a struct that a function fills for one that it reads.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v cppcheck >/dev/null || { echo 'skipped: there is no cppcheck'; exit 77; }
mkdir -p "$1/cppcheck"
exec cppcheck --project="$1/compile_commands.json" -i"$1" --cppcheck-build-dir="$1/cppcheck" -j "$(nproc)" --quiet \
	--library=tests/lint/cppcheck.cfg --std=c11 --max-configs=1 --enable=warning,portability,performance \
	--suppress=ctuuninitvar --error-exitcode=1 --template='{file}:{line}: {message} [{id}]'
