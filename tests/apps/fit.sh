#!/bin/sh
# Learning from the command line: interrupted and resumed it gives the same file; the file runs, evaluates, and is
# refused by other weights and when it is damaged; nothing half-written stays.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
head -n 60 "$SOURCE/models/tales.txt" >text
set -- fit "$MODEL" --text text -k 16 --density 0.25 --ctx 128 --seed 3

parvin "$@" -o whole.gguf --json --validation
expect_code 0
expect_in out '"clusters": 16' '"router_accuracy"' '"energy_kept"'
expect_files text whole.gguf

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
interrupted_everywhere 'INT:& KILL:&' whole.gguf "$@"
expect_files text whole.gguf

# A density found from a rise of perplexity that is allowed, said and held on the text that was kept out.
head -n 14 text >short
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
rm -f short found.gguf all.gguf captured.gguf short.capture

# The number of clusters tried out: a table on stderr, and the file of that number.
parvin fit "$MODEL" --text text -k auto --ctx 128 --epochs 2 --iters 3 -o auto.gguf --json
expect_code 0
expect_in out '"tries": ['
expect_in err 'energy kept' chosen
parvin fit "$MODEL" --text text -k "$(json_field clusters)" --ctx 128 --epochs 2 --iters 3 -o number.gguf
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
expect_files text whole.gguf
set -- fit "$MODEL" --text text -k 16 --density 25% --ctx 128 --seed 3

# Clusters and router learned on the device: as good, and the same every time.
accuracy=$("$PARVIN" "$@" -o here.gguf --json --learn-on cpu 2>err | sed -n 's/.*"router_accuracy": \([0-9.]*\).*/\1/p' | head -n 1)
for name in there again; do
	parvin "$@" -o $name.gguf --json --learn-on device --validation
	expect_code 0
	expect_in out '"clusters_on": "device"' '"router_on": "device"'
done
cmp -s there.gguf again.gguf || wrong 'learned on the device twice, the files differ'
expect_number 'there > here - 0.05' there "$(json_field router_accuracy)" here "$accuracy"
parvin "$@" -o other.gguf --learn-on moon
expect_usage 'device or cpu'
rm -f here.gguf there.gguf again.gguf

# The file at work.
parvin info whole.gguf
expect_in out '16 in each of 4 layers'
parvin info --json whole.gguf
expect_in out '"kind": "clusters"' '"n_clusters": 16'
parvin run "$MODEL" -c whole.gguf -p 'Once upon a time' -n 16 --temp 0 --json --validation
expect_code 0
density=$(json_field density)
expect_number 'd > 0.05 && d < 0.6' d "$density"
parvin eval "$MODEL" -c whole.gguf --text text --ctx 64 --windows 4
expect_code 0
expect_in out dense 'static hot set' 'oracle mask' 'oracle cluster' routed precision
parvin eval "$MODEL" -c whole.gguf --text text --ctx 64 --windows 4 --json --validation
expect_code 0
dense=$(json_field ppl_dense) routed=$(json_field ppl_routed) mask=$(json_field ppl_oracle_mask)
expect_number 'd > 1 && r > d && m < r' d "$dense" r "$routed" m "$mask"
expect_in out '"ppl_static"' '"ppl_oracle"' '"rise_routed"' '"precision"' '"recall"' '"weighted_recall"' '"layers"'

# Other weights, damage.
cp "$MODEL" other.gguf
printf '\001\002\003\004' | dd of=other.gguf bs=1 seek=9000000 conv=notrunc 2>/dev/null
parvin run other.gguf -c whole.gguf -p a -n 2
if cmp -s "$MODEL" other.gguf; then wrong 'the copy was not changed'; fi
expect_failure whole.gguf
rm other.gguf
head -c 20000 whole.gguf >short.gguf
parvin run "$MODEL" -c short.gguf -p a
expect_failure short.gguf
rm short.gguf

# A full disk (a limit on the size of files), a folder that is not there, one that cannot be written.
(
	ulimit -f 8
	exec "$PARVIN" "$@" -o full.gguf >out 2>err
)
code=$? last='fit on a full disk'
expect_failure full.gguf
expect_no_file full.gguf
rm -f full.gguf.resume
parvin "$@" -o nowhere/a.gguf
expect_failure nowhere
mkdir locked
chmod a-w locked
if touch locked/probe 2>/dev/null; then
	rm locked/probe # root may write anywhere
else
	parvin "$@" -o locked/a.gguf
	expect_failure locked
fi
rmdir locked
expect_files text whole.gguf
finish
