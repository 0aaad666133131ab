#!/bin/sh
# One model over two devices, of different vendors where there are two drivers: the same text as on one.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
[ "$(grep -c '^ *plan ' out)" -ge 2 ] || { echo 'skipped: there is one device only'; exit 77; }
golden=$SOURCE/tests/apps/golden
for devices in 0,1 1,0; do
	parvin run "$MODEL" -p 'Once upon a time' -n 64 --temp 0 --devices $devices --validation
	expect_code 0
	cmp -s out "$golden/fables.txt" || wrong "another text: $(head -c 300 out)"
done
expect_in err ' + '
finish
