#!/bin/sh
# Capture in parts, merge, fit from the file: the same bytes as in one go, also after a kill.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
head -n 60 "$SOURCE/models/tales.txt" >text
set -- --text text --ctx 128

parvin capture "$MODEL" "$@" --tokens 1500 -o whole.capture --json --validation
expect_code 0
expect_in out '"tokens": 1500' '"windows": 12' '"captured": 12'
for i in 1 2 3; do
	parvin capture "$MODEL" "$@" --tokens 1500 --shard $i/3 -o part$i.capture
	expect_code 0
	expect_in out '4 of 12 windows'
done
parvin merge part3.capture part1.capture part2.capture -o all.capture
expect_code 0
cmp -s whole.capture all.capture || wrong 'the parts make another file'
echo mine >taken.capture.part
parvin merge part3.capture part1.capture part2.capture -o taken.capture
expect_failure 'taken.capture.part'
[ "$(cat taken.capture.part)" = mine ] || wrong 'merge emptied a file that is not its own'
parvin merge part1.capture part2.capture -o fewer.capture
expect_code 2
expect_in err 'part 3/3 is missing'
expect_no_file fewer.capture

parvin info part2.capture
expect_code 0
expect_in out 'part           2 of 3: 4 of 12 windows of 128 tokens' '1500 in all' '% of the neurons'
parvin info all.capture --json
expect_in out '"kind": "capture"' '"captured": 12' '"captured_tokens": 1500' '"parts": 1'

# Killed as soon as there is something to keep, then the same command again.
: >err
"$PARVIN" capture "$MODEL" "$@" --tokens 1500 -o again.capture >out 2>err &
pid=$! last='parvin capture killed'
while [ "$(wc -c <again.capture.resume 2>/dev/null || echo 0)" -lt 4096 ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -KILL $pid 2>/dev/null
wait $pid
parvin capture "$MODEL" "$@" --tokens 1500 -o again.capture
expect_code 0
cmp -s whole.capture again.capture || wrong 'resumed, it gave another file'
expect_no_file again.capture.resume

parvin fit "$MODEL" "$@" --tokens 1500 -k 16 --density 0.25 -o text.gguf
expect_code 0
parvin fit "$MODEL" --capture all.capture -k 16 --density 0.25 -o file.gguf
expect_code 0
cmp -s text.gguf file.gguf || wrong 'learning from the capture gave another file'
parvin fit "$MODEL" --capture part1.capture -o part.gguf
expect_code 2
expect_in err 'one part of several'
head -c 30000 all.capture >short.capture
parvin fit "$MODEL" --capture short.capture -o short.gguf
expect_failure short.capture damaged
expect_no_file short.gguf
finish
