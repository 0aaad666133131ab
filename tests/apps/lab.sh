#!/bin/sh
# parvin-lab: the report of a table that is in docs/, and tables that it refuses. Sweeps themselves are lab/sweep's.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
: "${LAB:?}"
PARVIN=$LAB

for results in "$SOURCE/docs/results" "$SOURCE/docs/results/clustering" "$SOURCE/docs/results/routers"; do
	parvin report "$results/sweep.csv" -o again
	expect_code 0
	expect_in out 'report in sweep.md'
	for file in "$results"/*.svg "$results/sweep.md"; do
		[ ! -e "$file" ] || cmp -s "$file" "again/${file##*/}" || wrong "${file##*/} differs from $file"
	done
	rm -r again
done

# A row that says it has more layers than the others.
awk -F, -v OFS=, 'NR == 3 { $(NF - 10) = 3000 } { print }' "$SOURCE/docs/results/sweep.csv" >layers.csv
parvin report layers.csv -o again
expect_failure 'layers.csv:3: n_layers is 3000'
head -n 4 "$SOURCE/docs/results/sweep.csv" | head -c -9 >cut.csv
parvin report cut.csv -o again
expect_failure 'cut.csv:4: is cut'
parvin report missing.csv -o again
expect_failure missing.csv

# What is read, and what the lab did not write, stays; its own files are written again.
cp "$SOURCE/docs/results/sweep.csv" sweep.csv
cp "$MODEL" m.gguf
echo precious >text
mkdir mine
echo precious >mine/rise-bytes.svg
cksum sweep.csv m.gguf text mine/* >before
for case in 'report sweep.csv -o mine|give --force' 'fit m.gguf --text text -o ./m.gguf|which is read' \
	'fit m.gguf --text text -o text --force|which is read' 'fit m.gguf -o mine/rise-bytes.svg|give --force' \
	'sweep m.gguf --fit-text text --text sweep.csv -o .|which is read' \
	'sweep m.gguf --fit-text text --text text -o mine|give --force'; do
	# shellcheck disable=SC2086
	parvin ${case%|*}
	expect_usage "${case#*|}"
done
cksum sweep.csv m.gguf text mine/* >after
cmp -s before after || wrong 'a file was changed'
parvin report sweep.csv -o mine --force
expect_code 0
parvin report sweep.csv -o mine
expect_code 0

parvin sweep "$MODEL"
expect_usage '--fit-text FILE to learn from, --text FILE to measure on'
parvin sweep "$MODEL" --fit-text a --text b -k 0
expect_usage '-k takes numbers from 1 to 65536'
finish
