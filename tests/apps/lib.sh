# What the scripts here share. CMake gives PARVIN (the program), SOURCE (the repository) and SHARED (larger test data,
# which may be missing). A script works in a folder of its own and ends with 'finish'.
# shellcheck shell=sh
set -u
: "${PARVIN:?}" "${SOURCE:?}" "${SHARED:=}"
PARVIN_MODELS=$SOURCE/models
XDG_CACHE_HOME=${XDG_CACHE_HOME:-$PWD/cache}
MODEL=$SOURCE/models/fables-5m-f16.gguf
export PARVIN_MODELS XDG_CACHE_HOME MODEL
work=$(mktemp -d "$PWD/apps-XXXXXX") || exit 1
cd "$work" || exit 1
trap 'cd / && rm -rf "$work"' EXIT
failures=0

# parvin ARGUMENT...: runs it; leaves $code, and stdout and stderr in the files out and err.
parvin() {
	code=0
	"$PARVIN" "$@" >out 2>err || code=$?
	last="parvin $*"
}
wrong() {
	failures=$((failures + 1))
	printf 'FAILED: %s\n  %s\n' "$last" "$1"
	sed 's/^/  stderr: /' err | head -n 8
}
# The exit code of the last command.
expect_code() { [ "$code" = "$1" ] || wrong "exit code $code instead of $1"; }
# Every TEXT stands in the file.
expect_in() {
	file=$1
	shift
	for text in "$@"; do
		grep -qF -e "$text" "$file" || wrong "'$text' is not in std$file"
	done
}
expect_empty() { [ ! -s "$1" ] || wrong "std$1 is not empty"; }
expect_no_file() { [ ! -e "$1" ] || wrong "$1 was left behind"; }
# Nothing half-written lies about: the folder holds these names only.
expect_files() {
	found=$(find . -mindepth 1 -maxdepth 1 ! -name out ! -name err ! -name cache | sed 's|^\./||' | sort | tr '\n' ' ')
	[ "$found" = "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ] || wrong "the folder holds $found instead of $*"
}
# A failure as users should meet it: exit 1, a reason on stderr, nothing on stdout.
expect_failure() {
	expect_code 1
	expect_empty out
	expect_in err "$@"
}
expect_usage() {
	expect_code 2
	expect_empty out
	expect_in err "$@"
}
# A field of a JSON object, as printed with one field a line.
json_field() { sed -n "s/^ *\"$1\": \"\{0,1\}\([^\"]*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" out | head -n 1; }
# expect_number 'AWK CONDITION' NAME VALUE...: awk -v NAME=VALUE ...
expect_number() {
	condition=$1
	shift
	set_values=
	while [ $# -gt 1 ]; do
		set_values="$set_values -v $1=$2"
		shift 2
	done
	# shellcheck disable=SC2086
	awk $set_values "BEGIN { exit !($condition) }" || wrong "not so: $condition ($set_values)"
}
# Skips the script where there is no device, unless PV_REQUIRE_GPU=1.
need_device() {
	parvin devices
	grep -q '^ *plan ' out && return
	[ "${PV_REQUIRE_GPU:-}" = 1 ] && { echo 'there is no usable device'; exit 1; }
	echo 'skipped: there is no usable device'
	exit 77
}
# interrupted_everywhere SIGNALS FILE ARGUMENT...: interrupted, or killed, in each stage that it names on stderr, then
# continued, it gives FILE, which it has just written.
interrupted_everywhere() {
	signals=$1 whole=$2
	shift 2
	stages=$(sed -n 's/^parvin: //p' err | grep -v ' ' | uniq | wc -l)
	[ "$stages" -ge 2 ] || wrong 'the stages are not named on stderr'
	for step in $(seq "$stages" | sed "s/.*/$signals/"); do
		n=${step#*:} signal=${step%:*}
		last="parvin $* stopped by SIG$signal in stage $n"
		: >err
		"$PARVIN" "$@" -o again.gguf >out 2>err &
		pid=$!
		while [ "$(grep -c '^parvin: [a-z]*$' err)" -lt "$n" ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
		kill "-$signal" $pid 2>/dev/null
		code=0
		wait $pid || code=$?
		if [ $code = 0 ]; then
			echo "stage $n was over before the signal came"
		else
			if [ "$signal" = INT ]; then
				expect_code 130
				expect_in err stopped
			else
				expect_code 137
			fi
			# killed while writing, it may have been whole already
			[ ! -e again.gguf ] || cmp -s "$whole" again.gguf || wrong 'it left half a file'
			parvin "$@" -o again.gguf --json
			expect_code 0
		fi
		cmp -s "$whole" again.gguf || wrong 'resumed, it gave another file'
		rm -f again.gguf
	done
}
finish() {
	[ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
	echo 'all as expected'
	exit 0
}
