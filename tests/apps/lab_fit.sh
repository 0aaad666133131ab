#!/bin/sh
# parvin-lab fit: the cluster file of each method is read and evaluated like one of parvin's.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
: "${LAB:?}"
need_device
command=$PARVIN
head -n 30 "$SOURCE/models/tales.txt" >text
head -c 400 "$SOURCE/models/tales.txt" >other
for method in k-modes k-means; do
	# shellcheck disable=SC2034 # read by the function parvin
	PARVIN=$LAB
	parvin fit "$MODEL" --text text --method $method -k 4 --density 0.25 --ctx 64 --iters 3 --epochs 2 -o $method.gguf \
		--json --validation
	expect_code 0
	expect_in out '"clusters": 4'
	accuracy=$(json_field router_accuracy)
	expect_number 'a > 0.3 && a <= 1' a "$accuracy"
	PARVIN=$command
	parvin info --json $method.gguf
	expect_in out '"kind": "clusters"' '"n_clusters": 4' "\"method\": \"$method, most"
	parvin eval "$MODEL" -c $method.gguf --text other --ctx 64 --windows 1 --json
	expect_code 0
	tr -d '\n' <out | grep -q '"mode": "routed"[^}]*"density": 0[.][1-4]' || wrong 'density is not near 0.25'
done
! cmp -s k-modes.gguf k-means.gguf || wrong 'the methods made the same file'
expect_files text other k-modes.gguf k-means.gguf
finish
