#!/bin/sh
# clang's warnings and clang-tidy's (.clang-tidy says which) over what a build folder compiles: tidy.sh BUILD [all].
# Without "all" the path-sensitive checks, clang-analyzer-*, are left out: they take minutes.
set -u
cd "$(dirname "$0")/../.." || exit 1
for tool in run-clang-tidy clang-tidy; do
	command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done
less="-clang-analyzer-*"
[ "${2:-}" != all ] || less=
# run-clang-tidy takes regular expressions of whole paths; the embedded shaders lie under BUILD and are none of ours.
run-clang-tidy -quiet -j "$(nproc)" -p "$1" ${less:+-checks="$less"} \
	"^$PWD/(apps|examples|lab|runtime|tests|viz)/.*\\.c\$" >"$1/tidy.log" 2>&1
code=$?
[ $code -eq 0 ] || grep -vE '^clang-tidy|warnings? generated|^Suppressed|^Use -header' "$1/tidy.log" | head -n 200
exit $code
