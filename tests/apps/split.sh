#!/bin/sh
# One model over two devices, of different vendors where there are two drivers, cut at every layer boundary and in both
# orders: the same text as on one, and a perplexity within 0.1 %, dense and routed.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
[ "$(grep -c '^ *plan ' out)" -ge 2 ] || { echo 'skipped: there is one device only'; exit 77; }
golden=$SOURCE/tests/apps/golden
CLUSTERS=$SOURCE/models/fables-5m.clusters.gguf
tales=$SOURCE/models/tales.txt
layers=$("$PARVIN" info "$MODEL" | sed -n 's/^layers *\([0-9]*\).*/\1/p')
[ "$layers" -ge 2 ] || { last='parvin info'; wrong "$layers layers"; }

json_number() { sed -n "s/^ *\"$1\": \([-0-9.e]*\).*/\1/p" out | head -n 1; }
# measure OPTION...: leaves $dense and $routed.
measure() {
	parvin eval "$MODEL" -c "$CLUSTERS" --text "$tales" --ctx 128 --windows 2 --json "$@"
	expect_code 0
	dense=$(json_number ppl_dense)
	routed=$(json_number ppl_routed)
}
measure --device 0
one_dense=$dense one_routed=$routed

for devices in 0,1 1,0; do
	cut=1
	while [ "$cut" -lt "$layers" ]; do
		split=$cut,$((layers - cut))
		parvin run "$MODEL" -p 'Once upon a time' -n 64 --temp 0 --devices $devices --split $split --validation
		expect_code 0
		cmp -s out "$golden/fables.txt" || wrong "another text: $(head -c 300 out)"
		expect_in err ' + '
		parvin run "$MODEL" -p 'Once upon a time' -n 1 --temp 0 --devices $devices --split $split -v
		expect_in err "layers 0 to $((cut - 1)) on" "layers $cut to $((layers - 1)) on"
		measure --devices $devices --split $split
		expect_number 'x > 0 && y > 0 && x < 1.001 * y && y < 1.001 * x' x "$dense" y "$one_dense"
		expect_number 'x > 0 && y > 0 && x < 1.001 * y && y < 1.001 * x' x "$routed" y "$one_routed"
		cut=$((cut + 1))
	done
done

parvin devices --place "$MODEL" -c "$CLUSTERS" --devices 0,1 --split 3,1
expect_code 0
expect_in out '4 layers of up to' 'fits one device' 'split over all of these' 'layers 0 to 2:' 'layers 3 to 3:'
parvin devices --place "$MODEL" --plan memory_mib=12 --json
expect_code 0
expect_in out '"fits": false' '"room_layers": 0' '"together": {'

parvin bench "$MODEL" --devices 0,1 --split 3,1 --reps 1 --filter copy --json
expect_code 0
expect_in out '"test": "pp256"' '"test": "tg128"'
[ "$(grep -c '"name": "copy ' out)" -eq 2 ] || wrong 'not one copy for each of the two devices'
head -c 6000 "$tales" >short.txt
for devices in 0 0,1; do # what is learned depends on the activations' last bits: nearly the same density, not the same file
	parvin fit "$MODEL" --text short.txt -k 8 --ctx 64 -o "fit.gguf" --devices $devices --json
	expect_code 0
	[ $devices = 0 ] && one_density=$(json_number density)
done
expect_number 'x > 0 && x < 1.02 * y && y < 1.02 * x' x "$one_density" y "$(json_number density)"

for split in 1 1,2,3 0,4 -1,5 x,1 1,,1 nan,1; do
	parvin run "$MODEL" -p Once --devices 0,1 --split "$split"
	expect_usage 'one number above 0 for each of the 2 devices'
done
parvin run "$MODEL" -p Once --split 1,1
expect_usage 'each of the 1 devices'
finish
