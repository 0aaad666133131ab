#!/bin/sh
# Makes docs/results.md, with its tables and charts in docs/results/, from the model in models/:
#     docs/make-results.sh TRAIN.txt TEST.txt [SWIGLU.gguf...]     (after './bootstrap lab'; an hour on two cores)
#     docs/make-results.sh                         (only the page, from what docs/results/ has)
# TRAIN is a few megabytes of text like the model's, TEST is text that it was not trained on; models that are not sparse
# by nature get a table of their own. Environment: PARVIN and LAB, the programs (build/parvin, build/parvin-lab); OUT, the folder (docs/results);
# TOKENS and WINDOWS, how much to learn from and measure on in the sweeps (60000 and 8), FIT_TOKENS in the fits (500000).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
parvin=${PARVIN:-$root/build/parvin}
lab=${LAB:-$root/build/parvin-lab}
out=${OUT:-$root/docs/results}
model=$root/models/fables-5m-f16.gguf
page=$(dirname "$out")/results.md
for program in "$parvin" "$lab"; do
	[ -x "$program" ] || { echo "make-results: no $program; './bootstrap lab' makes it" >&2; exit 1; }
done
mkdir -p "$out"

# field NAME FILE: a number of a JSON object, not of those within.
field() { sed -n "s/^  \"$1\": \([-0-9.e]*\).*/\1/p" "$2" | head -n 1; }

# sweep MODEL FOLDER OPTION...
sweep() {
	swept=$1 folder=$2
	shift 2
	"$lab" sweep "$swept" --fit-text "$train" --text "$test" --tokens "$tokens" --windows "${WINDOWS:-8}" \
		-o "$folder" "$@"
}

measure() {
	train=$1 test=$2 tokens=${TOKENS:-60000}
	shift 2
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	sweep "$model" "$out" -k 16,64,256,1024 --density 0.05,0.1,0.2,0.3 \
		--methods oracle,static,sign,svd,lowrank,k-modes,k-means,parvin-active,parvin-plain,parvin,parvin-mask
	sweep "$model" "$out/clustering" -k 16,64,256,1024,4096 --clustering-only --iters 10 \
		--methods k-modes,k-means,parvin-active,parvin-hits
	sweep "$model" "$out/routers" -k 256 --density 0.05,0.1,0.2 \
		--methods magnitude,parvin-lowrank,parvin-centroid,parvin-two,parvin-input
	tokens=30000
	for other in "$@"; do
		sweep "$other" "$out/$(basename "$other" .gguf)" -k 64,256 --density 0.5,0.7 \
			--methods oracle,magnitude,static,svd,lowrank,k-means,parvin-plain,parvin
	done
	"$parvin" capture "$model" --text "$train" --tokens "${FIT_TOKENS:-500000}" -o "$work/text.capture"
	for space in contribution mask; do
		for run in 256:0.19 1024:0.1 1024:0.05; do
			k=${run%:*} density=${run#*:} fewer=
			[ "$k" -lt 1024 ] || fewer='--iters 8 --epochs 4'
			# shellcheck disable=SC2086
			"$parvin" fit "$model" --capture "$work/text.capture" -k "$k" --density "$density" --space "$space" \
				$fewer -o "$work/c.gguf"
			"$parvin" eval "$model" -c "$work/c.gguf" --text "$test" --ctx 256 --windows 64 --json |
				sed 's#": "[^"]*/\([^"/]*\)"#": "\1"#' >"$out/$space-$k-$density.json" # no folders of this machine
		done
	done
}

# extra FOLDER TITLE: what a smaller sweep was, and its table of rises.
extra() {
	[ -e "$out/$1/sweep.md" ] || return 0
	printf '\n## %s\n\n' "$2"
	sed '/^$/q' "$out/$1/sweep.md"
	sed -n '/^| method | K | predictor/,/^$/p' "$out/$1/sweep.md"
}

write_page() {
	cat <<'TEXT'
# Results

What Parvin's clusters cost and bring on the default model, against the paper's way and against methods that need no
clusters. `docs/make-results.sh TRAIN.txt TEST.txt` makes this page; the methods are in [method.md](method.md) and [lab/README.md](lab/README.md), the numbers
behind the charts in [results/sweep.csv](results/sweep.csv).

## Fitted in full

`parvin fit --tokens 500000` (K = 1024 with `--iters 8 --epochs 4`), then `parvin eval --ctx 256 --windows 64` on text that neither model nor clusters have seen.

| `--space` | K | density asked for | on the test text | perplexity dense | routed | rise | oracle cluster | router accuracy | precision | recall | energy kept |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
TEXT
	for file in "$out"/contribution-*.json "$out"/mask-*.json; do
		[ -e "$file" ] || continue
		run=$(basename "$file" .json)
		k=${run#*-}
		awk -v space="${run%%-*}" -v k="${k%-*}" -v asked="${k#*-}" -v d="$(field density "$file")" -v dense="$(field ppl_dense "$file")" \
			-v routed="$(field ppl_routed "$file")" -v own="$(field ppl_oracle "$file")" \
			-v right="$(field router_accuracy "$file")" -v precision="$(field precision "$file")" \
			-v recall="$(field recall "$file")" -v kept="$(field weighted_recall "$file")" 'BEGIN {
			printf "| %s | %d | %s | %.4f | %.3f | %.3f | **%+.2f %%** | %+.2f %% | %.1f %% | %.3f | %.3f | %.2f %% |\n",
				space, k, asked, d, dense, routed, 100 * (routed / dense - 1), 100 * (own / dense - 1), 100 * right,
				precision, recall, 100 * kept }'
	done
	printf '\n'
	cat <<'TEXT'
## Every method, side by side

Learned from fewer tokens and measured on the first windows of the test text, among them titles and contents, which
are harder than what follows: compare rows with each other, not with the fits above. Where another method does better at
equal bytes, and why, is in [lab/tried.md](lab/tried.md) under "Equal bytes".

TEXT
	sed 's/^## /### /; s/](\([a-z-]*\.svg\))/](results\/\1)/g' "$out/sweep.md"
	if [ -e "$out/clustering/sweep.md" ]; then
		printf '\n## Clusterings up to K = 4096\n\nTen iterations; no routers, no perplexities.\n\n'
		sed -n '1,/^$/p; /^Every token with/,/^$/p; /^!.*precision/,/^$/p; /^| clustering/,/^$/p' \
			"$out/clustering/sweep.md" | sed 's#](precision#](results/clustering/precision#'
	fi
	extra routers 'Other routers, other spaces, K = 256'
	for folder in "$out"/*/; do
		name=$(basename "$folder")
		[ "$name" = routers ] || [ "$name" = clustering ] || extra "$name" "$name: a SwiGLU model, where half of the neurons count as active"
	done
}

[ $# -ne 1 ] || { sed -n '2,9p' "$0" >&2; exit 2; }
[ $# -eq 0 ] || measure "$@"
write_page >"$page.new"
mv "$page.new" "$page"
echo "made $page"
