#!/bin/sh
# Memory that runs out in the middle of a small command: the whole result, or exit 1 with a reason. Never a part of it.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
: "${FAIL_MALLOC_SO:?}"

# CALLS RESULT ARGUMENT...: with each of these calls for memory failing in turn: malloc, calloc, realloc and mmap. RESULT is
# the file that the command writes. Where that is a picture, libraries below Cairo may end the program by a signal (GLib
# does so on purpose): there is no reason then, and no file either.
every_malloc() {
	calls=$1 result=$2
	shift 2
	parvin "$@"
	expect_code 0
	cp "$result" whole
	refused=0
	for n in $calls; do
		code=0
		rm -f "$result"
		FAIL_MALLOC=$n LD_PRELOAD=$FAIL_MALLOC_SO "$PARVIN" "$@" >out 2>err || code=$?
		last="parvin $*, call $n for memory failing"
		if [ $code = 0 ]; then
			cmp -s "$result" whole || wrong 'a part of the result, and exit 0'
		else
			[ "$result" = out ] || expect_no_file "$result"
			[ "$result" != out ] && [ $code -gt 128 ] && continue
			expect_code 1
			[ -s err ] || wrong 'no reason'
			refused=$((refused + 1))
		fi
	done
	[ $refused -ge 10 ] || wrong "$refused calls were refused: are they failing at all?"
}
every_malloc "$(seq 250)" out info --json "$MODEL"
every_malloc "$(seq 250)" out tokenize --json "$MODEL" 'Once upon a time'
gunzip -c "$SOURCE/tests/apps/window/scene.jsonl.gz" | head -n 4 >trace.jsonl
every_malloc "$(seq 60; seq 65 50 1500)" a.svg heatmap trace.jsonl --width 600 -o a.svg
finish
