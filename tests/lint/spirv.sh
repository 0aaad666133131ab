#!/bin/sh
# spirv-val finds every module of the build valid for Vulkan 1.2: spirv.sh LIST, a file with a path a line.
set -u
command -v spirv-val >/dev/null || { echo 'skipped: there is no spirv-val'; exit 77; }
n=0 code=0
while read -r module; do
	[ -n "$module" ] || continue
	n=$((n + 1))
	spirv-val --target-env vulkan1.2 "$module" || { echo "  in $module"; code=1; }
done <"$1"
[ $n -gt 0 ] || { echo "$1 lists no modules"; exit 1; }
exit $code
