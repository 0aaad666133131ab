#!/bin/sh
# Memory that runs out in the middle of a small command: the whole result, or exit 1 with a reason. Never a part of it.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
: "${FAIL_MALLOC_SO:?}"

# ARGUMENT...: with each of the first calls for memory failing in turn: malloc, calloc, realloc and mmap.
every_malloc() {
	parvin "$@"
	expect_code 0
	cp out whole
	refused=0
	for n in $(seq 250); do
		code=0
		FAIL_MALLOC=$n LD_PRELOAD=$FAIL_MALLOC_SO "$PARVIN" "$@" >out 2>err || code=$?
		last="parvin $*, call $n for memory failing"
		if [ $code = 0 ]; then
			cmp -s out whole || wrong 'a part of the result, and exit 0'
		else
			expect_code 1
			[ -s err ] || wrong 'no reason'
			refused=$((refused + 1))
		fi
	done
	[ $refused -ge 10 ] || wrong "$refused calls were refused: are they failing at all?"
}
every_malloc info --json "$MODEL"
every_malloc tokenize --json "$MODEL" 'Once upon a time'
finish
