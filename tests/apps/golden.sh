#!/bin/sh
# Greedy texts that other programs computed (see models/README.md and the README of the larger test data), word for word.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
golden=$SOURCE/tests/apps/golden

# same_text MODEL TEXT OPTION...: what 'parvin run' prints is the text.
same_text() {
	model=$1 text=$2
	shift 2
	[ -f "$model" ] || { echo "without $(basename "$model"), which is not here"; return; }
	parvin run "$model" -p 'Once upon a time' -n 64 --temp 0 --validation "$@"
	expect_code 0
	cmp -s out "$text" || wrong "the text differs from $text: $(head -c 300 out)"
	expect_in err 'tok/s'
	parvin run "$model" -p 'Once upon a time' -n 64 --temp 0 --json "$@"
	expect_code 0
	expect_in out '"tokens": 64'
}
same_text "$MODEL" "$golden/fables.txt"
same_text "$MODEL" "$golden/fables.txt" --plan access=storage
same_text "$MODEL" "$golden/fables.txt" --plan max_binding_bytes=65536 # every matrix in several bindings
same_text "$SHARED/models/stories260k-f32.gguf" "$golden/stories260k.txt"
same_text "$SHARED/models/babyllama105-f32.gguf" "$golden/babyllama105.txt"

# Split matrices, masked too: the same perplexities.
json_number() { sed -n "s/^ *\"$1\": \([-0-9.e]*\).*/\1/p" out | head -n 1; }
measure() {
	parvin eval "$MODEL" -c "$SOURCE/models/fables-5m.clusters.gguf" --text "$SOURCE/models/tales.txt" --ctx 128 --windows 2 \
		--json "$@"
	expect_code 0
}
measure
dense=$(json_number ppl_dense) routed=$(json_number ppl_routed)
measure --plan max_binding_bytes=65536
expect_number 'x > 1 && x < 1.00001 * y && y < 1.00001 * x' x "$dense" y "$(json_number ppl_dense)"
expect_number 'x > 1 && x < 1.00001 * y && y < 1.00001 * x' x "$routed" y "$(json_number ppl_routed)"

# How sparse the model is: the perplexity is the dense one, and about a tenth of the neurons are active.
parvin density "$MODEL" --text "$SOURCE/models/tales.txt" --ctx 128 --windows 2 --json
expect_code 0
expect_number 'x > 1 && x < 1.00001 * y && y < 1.00001 * x' x "$dense" y "$(json_number ppl)"
expect_number 'x > 0.05 && x < 0.15' x "$(json_number active)"
parvin density "$MODEL" --text "$SOURCE/models/tales.txt" --ctx 128 --windows 2 --thresholds
expect_in out 'exact zeros' '90.0 % of the energy'

# A small model is decoded on the calling thread, unless the user has said how many lavapipe takes.
parvin run "$MODEL" -p 'The fox' -n 1 -v
expect_in err 'LP_NUM_THREADS=0'
(
	export LP_NUM_THREADS=2
	parvin run "$MODEL" -p 'The fox' -n 1 -v
)
grep -q 'LP_NUM_THREADS=0' err && wrong 'the number of threads that the user has set was changed'

# A seed gives a text back; text arrives on a pipe as UTF-8.
parvin run "$MODEL" -p 'The fox' -n 40 --seed 5
cp out first
parvin run "$MODEL" -p 'The fox' -n 40 --seed 5
cmp -s out first || wrong 'the same seed gave another text'
parvin run "$MODEL" -p 'The fox' -n 40 --seed 6
cmp -s out first && wrong 'another seed gave the same text'
iconv -f UTF-8 -t UTF-8 first >/dev/null || wrong 'the text is not UTF-8'
finish
