#!/bin/sh
# matrix.sh PARVIN FOLDER [one|all]: every pipeline of the chosen plan on each device of the file list ('one': one a vendor),
# and where its driver records there, the whole host path under the validation layers. A table on stdout; what went wrong
# stands under it. Exit 1 if more pipelines failed or spill than the list knows of, a call failed, or a layer spoke.
set -eu
parvin=$1 folder=$2 which=${3:-one}
here=$(cd "$(dirname "$0")" && pwd)
out=$folder/out
rm -rf "$out"
mkdir -p "$out"
number() { sed -n "s/^ *\"$1\": \([0-9]*\),\{0,1\}\$/\1/p" "$2" | head -n 1; }
# one NAME records|compiles SPILLING FAILING: a line of the table.
one() {
	code=0 recorded='-'
	"$here/on.sh" "$folder" "$1" "$parvin" conform --compile-only --variant plan --no-cache --json \
		>"$out/$1.json" 2>"$out/$1.err" || true
	if [ "$2" = records ]; then
		"$here/on.sh" "$folder" "$1" "$parvin" conform --record-only --variant plan --quick --isolate --no-cache --json \
			>"$out/$1.record.json" 2>"$out/$1.record.err" || code=$?
		recorded="$(number passed "$out/$1.record.json") ok, $(number failed "$out/$1.record.json") failed"
	fi
	spilling=$(number spilling_in_plan "$out/$1.json") failing=$(number failed "$out/$1.json")
	[ "${spilling:-999}" -le "$3" ] && [ "${failing:-999}" -le "$4" ] || code=1
	printf '%-16s %9s %7s %9s   %s\n' "$1" "$(number compiled "$out/$1.json")" "${failing:--}" \
		"${spilling:--}" "$recorded"
	[ $code = 0 ] || echo "$1" >>"$out/wrong"
}
printf '%-16s %9s %7s %9s   %s\n' device pipelines failed spilling recorded
while read -r name icd shim setting does group spilling failing; do
	case $name in '' | '#'*) continue ;; esac
	[ "$which" = all ] || [ "$group" = one ] || continue
	: "$icd" "$shim" "$setting"
	one "$name" "$does" "$spilling" "$failing"
done <"$here/list"
[ -f "$out/wrong" ] || exit 0
while read -r name; do
	echo "$name:"
	grep -hE 'error|FAILED' "$out/$name.err" "$out/$name.record.err" 2>/dev/null | head -n 5 | sed 's/^/  /'
done <"$out/wrong"
echo "$(wc -l <"$out/wrong") devices with something wrong; $out has the reports" >&2
exit 1
