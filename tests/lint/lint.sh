#!/bin/sh
# Rules about the tree that a compiler does not check. 'lint.sh RULE...' checks those, 'lint.sh' checks all.
# Exit 0: held; 1: broken, with file and line; 77: a tool is missing (and nothing else was broken).
# shellcheck disable=SC2016 # awk programs stand in single quotes
set -u
cd "$(dirname "$0")/../.." || exit 1

c_files() { find "$@" \( -name '*.c' -o -name '*.h' \) 2>/dev/null | sort; }
scripts() { printf '%s\n' bootstrap .ci/run && find docs tests -name '*.sh' | sort; }
sources() {
	find apps examples lab runtime shaders tests viz cmake CMakeLists.txt bootstrap .ci -type f \( -name '*.c' -o -name '*.h' \
		-o -name '*.comp' -o -name '*.glsl' -o -name '*.sh' -o -name '*.cmake' -o -name CMakeLists.txt \
		-o -name bootstrap -o -name run \) 2>/dev/null
}

# Layers of the library, lowest first: each includes itself and what is below it.
layers() {
	c_files runtime | xargs awk '
		BEGIN { n = split("base format vk kernel infer learn check", layer); for (i = 1; i <= n; i++) rank[layer[i]] = i }
		/^[ \t]*#[ \t]*include[ \t]*"/ {
			split(FILENAME, part, "/"); own = part[2]
			split($0, quoted, "\""); split(quoted[2], target, "/")
			if (own == "include" ? target[1] != "parvin" : rank[target[1]] > rank[own])
				print FILENAME ":" FNR ": " own " includes " quoted[2]
		}'
}

# The command and the pictures are written against the public headers alone; view.vert.inc and the like are compiled
# shaders.
public() {
	c_files apps viz | xargs awk '
		/^[ \t]*#[ \t]*include[ \t]*"/ {
			split($0, quoted, "\""); name = quoted[2]
			folder = FILENAME; sub(/\/.*$/, "/", folder)
			if (name ~ /^(parvin|viz)\// || name ~ /^[a-z_]+\.(vert|frag)\.inc$/)
				next
			if ((getline line < (folder name)) < 0)
				print FILENAME ":" FNR ": includes " name
			close(folder name)
		}'
}

# The lab may use everything; nothing but tests may use the lab.
lab() {
	c_files apps examples runtime viz | xargs grep -nE '^[ \t]*#[ \t]*include[ \t]*"lab/'
}

# The caps files carry the numbers; what follows from them is a row of the quirks table.
vendors() {
	c_files runtime apps viz | grep -vE '^runtime/vk/plan/(quirks|caps|caps_[a-z]*)\.[ch]$' |
		xargs grep -nEi '(vendor|driver)_?id\b'
}

# The library neither prints nor exits nor reads the environment.
library() {
	c_files runtime | xargs grep -nE '\b(getenv|exit|abort|printf|puts|putchar|perror)\(|\b(stdout|stderr)\b'
}

# Its messages state facts and name fields; what to type is the command's (apps/cli/hints.c).
flags() {
	c_files runtime | xargs grep -nE '"[^"]*(--[a-z]|[ (`'"'"']-[a-z][ ,)`'"'"']|\bparvin (fit|run|capture|merge|devices|conform|eval)\b)[^"]*"' |
		grep -v 'ulimit -n'
}

# shaders/iface.h is GLSL too, and not among these.
format() {
	c_files apps examples/[!r]*.c lab runtime tests viz | xargs "$tool" --dry-run -Werror 2>&1 | grep 'error:'
}

long() {
	sources | xargs awk 'FNR == 801 { print FILENAME }'
}

promises() {
	sources | grep -v '^tests/lint/' | xargs grep -nE '\b(TODO|FIXME|XXX|HACK)\b'
}

# 14 is Debian 12's clang-format; other versions break lines differently in places.
find_clang_format() {
	tool=$(command -v clang-format-14 || command -v clang-format) || tool=
	[ -n "$tool" ] || { echo 'skipped format: there is no clang-format'; return 1; }
	"$tool" --version | grep -q 'version 14\.' || { echo 'skipped format: clang-format 14 decides'; return 1; }
}

code=0 skipped=
# held TEXT FINDINGS: says the rule and what breaks it, if anything does.
held() {
	[ -n "$2" ] || return 0
	printf '%s:\n%s\n' "$1" "$2"
	code=1
}

[ $# -gt 0 ] || set -- layers public lab vendors library flags format length shell promises
for rule in "$@"; do
	case $rule in
	layers) held 'base < format < vk < kernel < infer < learn < check; public headers include each other only' "$(layers)" ;;
	public) held 'apps/ and viz/ include public headers and their own' "$(public)" ;;
	lab) held 'lab/ is included by itself and by tests alone' "$(lab)" ;;
	vendors) held 'vendorID and driverID belong into runtime/vk/plan/quirks.c' "$(vendors)" ;;
	library) held 'runtime/ prints, exits or reads the environment' "$(library)" ;;
	flags) held 'runtime/ names options or commands of the program' "$(flags)" ;;
	length) held 'files over 800 lines' "$(long)" ;;
	promises) held 'promises left in the tree' "$(promises)" ;;
	format)
		if find_clang_format; then
			held 'not as clang-format 14 writes it; clang-format -i FILE mends it' "$(format)"
		else
			skipped=yes
		fi
		;;
	shell)
		if command -v shellcheck >/dev/null; then
			held 'shellcheck' "$(scripts | xargs shellcheck 2>&1)"
		else
			echo 'skipped shell: there is no shellcheck'
			skipped=yes
		fi
		;;
	*)
		echo "no rule '$rule'"
		exit 2
		;;
	esac
done
[ $code -ne 0 ] || [ -z "$skipped" ] || exit 77
exit $code
