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
expect_number 'd > 1 && p > 1 && (p / d - 1 - r) ^ 2 < 1e-6 && n > 0' d "$(json_field ppl_dense)" p "$(json_field ppl_routed)" \
	r "$(json_field ppl_rise)" n "$(json_field ppl_tokens)"
expect_files text whole.gguf

# Interrupted in each stage, then continued (choose.sh kills).
interrupted_everywhere 'INT:&' whole.gguf "$@"
expect_files text whole.gguf

# A density that is too low for this model is not silent, but with -q.
parvin fit "$MODEL" --text text -k 16 --density 0.01 --ctx 128 --seed 3 -o poor.gguf
expect_code 0
expect_in out 'perplexity '
expect_in err 'the text will be poor' 'within  3 %'
parvin fit "$MODEL" --text text -k 16 --density 0.01 --ctx 128 --seed 3 -o poor.gguf --json -q
expect_in out '"density_within": ['
expect_empty err
rm -f poor.gguf

# Every way of clustering and routing gives a file that runs; refinement changes it, and an unknown method is refused.
for how in '--space pattern' '--space input' '--space mask' '--router centroid' '--router low-rank' '--restarts 2' \
	'--rounds 0'; do
	# shellcheck disable=SC2086
	parvin "$@" $how -o other.gguf --json
	expect_code 0
	! cmp -s whole.gguf other.gguf || wrong "$how made no difference"
	parvin run "$MODEL" -c other.gguf -p 'Once upon' -n 4 --json
	expect_code 0
	rm -f other.gguf
done
# Masks of every neuron are all alike: nothing to cluster by, so the clusters of contributions stay and are not one.
parvin fit "$MODEL" --text text -k 16 --density 1 --ctx 128 --seed 3 --space mask -o other.gguf --json
expect_code 0
expect_number 'a > 0.3 && a < 0.999' a "$(json_field router_accuracy)"
rm -f other.gguf
parvin "$@" --space means -o other.gguf
expect_code 2
expect_in err "--space has no 'means'"
expect_files text whole.gguf

# Clusters and router learned and refined on the device: as good, and the same every time.
parvin "$@" -o here.gguf --json --learn-on cpu
accuracy=$(json_field router_accuracy) kept=$(json_field energy_kept)
for name in there again; do
	parvin "$@" -o $name.gguf --json --learn-on device --validation
	expect_code 0
	expect_in out '"clusters_on": "device"' '"router_on": "device"'
done
cmp -s there.gguf again.gguf || wrong 'learned on the device twice, the files differ'
expect_number 'there > here - 0.05' there "$(json_field router_accuracy)" here "$accuracy"
expect_number 'there > here - 0.01' there "$(json_field energy_kept)" here "$kept"
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
parvin run "$MODEL" -c whole.gguf -p 'Once upon a time' -n 16 --temp 0 --best 2 --json --validation
expect_code 0
expect_number 'two > one' two "$(json_field density)" one "$density"
parvin eval "$MODEL" -c whole.gguf --text text --ctx 64 --windows 4
expect_code 0
expect_in out dense 'static hot set' 'oracle mask' 'oracle cluster' routed precision
parvin eval "$MODEL" -c whole.gguf --text text --ctx 64 --windows 4 --json --validation
expect_code 0
dense=$(json_field ppl_dense) routed=$(json_field ppl_routed) mask=$(json_field ppl_oracle_mask)
expect_number 'd > 1 && r > d && m < r' d "$dense" r "$routed" m "$mask"
expect_in out '"ppl_static"' '"ppl_oracle"' '"rise_routed"' '"precision"' '"recall"' '"weighted_recall"' '"layers"'

parvin eval "$MODEL" -c whole.gguf --text text --ctx 64 --windows 4 --best 2 --json --validation
expect_code 0
expect_number 'two < one && two > d' two "$(json_field ppl_routed)" one "$routed" d "$dense"
parvin run "$MODEL" -p a -n 2 --best 2
expect_code 2
expect_in err '--best is about clusters'
parvin run "$MODEL" -c whole.gguf -p a -n 2 --best 3
expect_usage best

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
