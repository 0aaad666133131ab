#!/bin/sh
# What fit finds by itself: the density for a rise of perplexity, the number of clusters, the text to learn from. Killed in
# any stage and continued it finds the same.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
head -n 14 "$SOURCE/models/tales.txt" >short

# A density found from a rise of perplexity that is allowed, said and held on the text that was kept out.
set -- fit "$MODEL" --text short -k 8 --max-ppl-rise 30% --ctx 64 --seed 3
parvin "$@" -o found.gguf --json --validation
expect_code 0
expect_in out '"layers": [' '"sparse_enough": true'
expect_number 'r > 0 && r + e <= m && m == 0.3 && p > d' r "$(json_field ppl_rise)" e "$(json_field ppl_rise_error)" \
	m "$(json_field max_ppl_rise)" p "$(json_field ppl_routed)" d "$(json_field ppl_dense)"
interrupted_everywhere 'KILL:&' found.gguf "$@"
parvin capture "$MODEL" --text short --ctx 64 -o short.capture
parvin fit "$MODEL" --capture short.capture --text short -k 8 --max-ppl-rise 0.3 --seed 3 -o captured.gguf
expect_code 0
cmp -s found.gguf captured.gguf || wrong 'from a capture file it found something else'
parvin fit "$MODEL" --text short -k 8 --density 1 --ctx 64 -o all.gguf
expect_in out 'budget by layer: 1.000 1.000 1.000 1.000'
rm -f found.gguf all.gguf captured.gguf short.capture

# The number of clusters tried out: a table on stderr, and the file of that number.
parvin fit "$MODEL" --text short -k auto --ctx 64 --epochs 2 --iters 3 -o auto.gguf --json
expect_code 0
expect_in out '"tries": ['
expect_in err 'energy kept' chosen
parvin fit "$MODEL" --text short -k "$(json_field clusters)" --ctx 64 --epochs 2 --iters 3 -o number.gguf
cmp -s auto.gguf number.gguf || wrong 'K given by number is another file'
rm -f auto.gguf number.gguf

# Without a text the model writes its own, twice the same, and goes on after a kill.
set -- fit "$MODEL" --tokens 1500 -k 8 --ctx 64 --seed 3
parvin "$@" -o own.gguf --json --validation
expect_code 0
expect_in out '"tokens": 1500' '"sampling"'
expect_in err 'the model writes the text'
interrupted_everywhere 'KILL:&' own.gguf "$@"
parvin capture "$MODEL" --tokens 1500 --ctx 64 --seed 3 -o own.capture
parvin fit "$MODEL" --capture own.capture -k 8 --seed 3 -o captured.gguf
expect_code 0
cmp -s own.gguf captured.gguf || wrong 'captured, its own text is another'
parvin capture "$MODEL" --shard 1/2 -o own.capture
expect_usage 'give --text'
rm -f own.gguf own.capture captured.gguf
expect_files short
finish
