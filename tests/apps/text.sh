#!/bin/sh
# What `run` reads as a prompt, where it stops, and what it prints of text from outside.
# shellcheck disable=SC1091,SC2034,SC2153 # lib.sh sets and reads these
. "$(dirname "$0")/lib.sh"

need_device
run="-n 24 --temp 0"
# shellcheck disable=SC2086
{
	# A prompt by -p, -f and a pipe is the same one; a file's byte order mark and last line end are not part of it.
	printf '\357\273\277Once upon a time\r\n' >prompt.txt
	parvin run "$MODEL" -p 'Once upon a time' $run
	expect_code 0
	cp out whole.txt
	parvin run "$MODEL" -f prompt.txt $run
	cmp -s out whole.txt || wrong 'a prompt from a file gave another text'
	printf 'Once upon a time' | "$PARVIN" run "$MODEL" $run >piped.txt 2>err || wrong 'a piped prompt is refused'
	cmp -s piped.txt whole.txt || wrong 'a piped prompt gave another text'

	# --stop ends the text before the given one, also across tokens, and prints nothing of it.
	words=$(tr '\n' ' ' <whole.txt | cut -d' ' -f4-5)
	parvin run "$MODEL" -p 'Once upon a time' $run --stop 'not in it' --stop "$words"
	expect_code 0
	expect_in err 'stopped by stop text'
	if grep -qF "$words" out; then wrong 'the text to stop at was printed'; fi
	head -c "$(($(wc -c <out) - 1))" out >begin.txt
	head -c "$(wc -c <begin.txt)" whole.txt | cmp -s - begin.txt || wrong '--stop changed the text before it'

	# -n -1 goes on until the context is full or the text ends.
	parvin run "$MODEL" -p 'Once upon a time' -n -1 --temp 0 --ctx 40 --json
	expect_code 0
	grep -qE '"stopped": "(context full|end of text)"' out || wrong '-n -1 stopped for another reason'
}

# Clusters beside the model are used, and said so.
cp "$MODEL" mine.gguf
parvin fit mine.gguf --text "$SOURCE/models/tales.txt" --tokens 1000 -k 8 --rounds 0 -q
expect_code 0
parvin run mine.gguf -p Once -n 4 --temp 0
expect_in err 'using the clusters of mine.clusters.gguf; --dense computes every neuron'
parvin run mine.gguf -p Once -n 4 --temp 0 --dense
expect_in err 'dense'
parvin run mine.gguf -p Once -n 4 --temp 0 --dense -c mine.clusters.gguf
expect_usage 'not both'

# Devices: digits are a number, and a device is taken once.
parvin run "$MODEL" -p Once -n 1 --device 99
expect_failure 'there is no device 99, only: 0: '
parvin run "$MODEL" -p Once -n 1 --devices 0,0
expect_usage 'names device 0 twice'

# A prompt is read in batches; Ctrl-C stops between them, and what was read of it is no text.
for _ in 1 2 3 4; do head -c 16000 "$SOURCE/models/tales.txt"; done >long.txt
last='run -f long.txt stopped by SIGINT'
"$PARVIN" run "$MODEL" -f long.txt -n 4 --temp 0 --ctx 32768 --dense >out 2>err &
pid=$!
while ! grep -q '^parvin: prompt$' err && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -INT $pid
code=0
wait $pid || code=$?
expect_code 130
expect_in err 'stopped by interrupted'
[ "$(tr -d '\n' <out)" = '' ] || wrong 'it printed text before it had read the prompt'

# The speed is that of the whole loop: a reader who is slow to take the trace slows the run.
mkfifo pipe
(sleep 6 && cat) <pipe >/dev/null &
parvin run "$MODEL" -p a -n 600 --temp 0 --ignore-eos --ctx 1024 --dense --trace pipe --json
wait
expect_code 0
expect_number '(tokens - 1) / speed > 4' tokens "$(json_field tokens)" speed "$(json_field decode_tok_s)"
expect_number 'compile >= 0' compile "$(json_field compile_s)"

# What cannot take escape codes gets none.
last='a bar with TERM=dumb'
if command -v script >/dev/null; then
	TERM=dumb script -qec "'$PARVIN' run '$MODEL' -f long.txt -n 1 --temp 0 --ctx 32768 --dense --trace /dev/null" /dev/null >out 2>err </dev/null
	if grep -q "$(printf '\033')" out; then wrong 'an escape code reached a dumb terminal'; fi
	expect_in out 'parvin: prompt'
fi

# Controls in a file's name and in a prompt reach no terminal, JSON, trace, page or picture raw.
evil=$(printf 'a\033[31m\302\2331mb.gguf')
cp "$MODEL" "$evil"
cp "$SOURCE/models/fables-5m.clusters.gguf" c.gguf
# clean FILE: it has line ends and tabs, and no other control.
clean() {
	[ -s "$1" ] || wrong "$1 is empty"
	if LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$1"; then wrong "a raw control is in $1"; fi
}
for command in info 'info --json' 'info -v' 'run -p a -n 1 --temp 0' 'run -p a -n 1 --temp 0 --json' 'run -c nothing -p a' \
	'tokenize --json' 'eval --text nothing' 'explain -c c.gguf --tokens 40 -o page.html --trace page.jsonl' \
	'heatmap -c c.gguf --tokens 40 -o page.svg' 'run -p a -n 2 --temp 0 --trace run.trace --trace-format perfetto'; do
	# shellcheck disable=SC2086
	set -- $command
	first=$1
	shift
	printf 'x\033[31m\302\2331m' >prompt.txt
	last="parvin $command"
	code=0
	"$PARVIN" "$first" "$evil" "$@" >out 2>err <prompt.txt || code=$?
	cat out err >both
	clean both
done
clean page.html
clean page.jsonl
clean page.svg
clean run.trace
"$PARVIN" run "$MODEL" -f prompt.txt -n 1 --temp 0 --json --dense >out 2>err
expect_in out '"prompt": "x\u001B[31m\u009b1m"'

cases=$SHARED/cases
[ -d "$cases" ] || finish
parvin run "$cases/eot.gguf" -p 'Once upon a time' -n 60 --temp 0
expect_code 0
expect_in out ', there was a little girl named Lily'
expect_in err 'stopped by end of text'
for temperature in 0 0.8; do
	parvin run "$cases/nan_norm.gguf" -p 'Once upon a time' -n 16 --temp $temperature
	expect_failure 'is not a number after token 5: all layers are finite'
done
parvin eval "$cases/nan_norm.gguf" --text "$SOURCE/models/tales.txt" --windows 1 --ctx 64
expect_failure 'is not a number after token'
parvin run "$cases/bigv.gguf" -p 'Once upon a time' -n 16 --temp 0 --plan kv_f16=on
expect_failure 'the attention of layer 0, at token 0; perhaps its float16 KV cache overflowed'
expect_failure 'kv_f16=off'
for file in esc-tokens.gguf esc-method.clusters.gguf; do
	parvin info "$cases/$file"
	if cat out err | grep -q "$(printf '\033')"; then wrong "info $file printed an escape sequence"; fi
	parvin info -v "$cases/$file"
	if cat out err | grep -q "$(printf '\033')"; then wrong "info -v $file printed an escape sequence"; fi
done
parvin run "$cases/esc-tokens.gguf" -p '' -n 3 --temp 0
if cat out err | grep -q "$(printf '\033')"; then wrong 'run printed an escape sequence of the vocabulary'; fi
finish
