# What the scripts here share: BUILD, SOURCE, CMAKE, CPACK and CC come from CTest; a folder of its own; fail.
# shellcheck shell=sh
set -eu
: "${BUILD:?}" "${SOURCE:?}" "${CMAKE:?}" "${CPACK:?}" "${CC:?}"
work=$(mktemp -d) || exit 1
trap 'cd / && rm -rf "$work"' EXIT
cd "$work"
fail() {
	echo "FAILED: $*"
	exit 1
}
# run COMMAND...: shows what it printed only if it failed.
run() { "$@" >log 2>&1 || { cat log; fail "$*"; }; }
