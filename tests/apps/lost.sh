#!/bin/sh
# 'run --on-lost': a layer (tests/layer) takes one of two devices away while a prompt is read or a text is written. The
# text is the same as on one device that nothing happens to.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
[ "$(grep -c '^ *plan ' out)" -ge 2 ] || { echo 'skipped: there is one device only'; exit 77; }
golden=$SOURCE/tests/apps/golden
VK_LAYER_PATH=$LAYERS VK_INSTANCE_LAYERS=VK_LAYER_PARVIN_lost
export VK_LAYER_PATH VK_INSTANCE_LAYERS
expect_no_loss() { ! grep -q 'going on' err || wrong 'something was lost'; }
generate() { parvin run "$MODEL" -p 'Once upon a time' -n 64 --temp 0 --split 2,2 --no-cache "$@"; }
parvin devices --json
first=$(json_field name)
second=$(sed -n 's/^ *"name": "\(.*\)",*$/\1/p' out | grep -vxF "$first" | head -n 1)
[ -n "$first" ] || wrong 'no name of the first device'
[ -n "$second" ] || wrong 'no name of the second device'

# The layer is there and takes nothing.
generate --devices 0,1 --on-lost continue
expect_code 0
cmp -s out "$golden/fables.txt" || wrong "another text: $(head -c 300 out)"
expect_no_loss

# Either device, at a submit, a wait, an allocation; early (the prompt), and in the middle of the text.
for devices in 0,1 1,0; do
	for loss in vkQueueSubmit:7 vkQueueSubmit:50 vkWaitSemaphores:8 vkWaitSemaphores:40 vkAllocateMemory:2; do
		export PV_LOST="$first:$loss"
		generate --devices $devices --on-lost continue
		expect_code 0
		cmp -s out "$golden/fables.txt" || wrong "$PV_LOST: another text: $(head -c 300 out)"
		expect_in err 'going on with the other 1 of 2 devices' 'layers 0 to 3 are on'
	done
done
grep -q ' + ' err && wrong 'the summary names the device that is gone'
export PV_LOST="$first:vkQueueSubmit:50"
generate --devices 0,1 --on-lost continue --json
expect_code 0
[ "$(json_field stopped)" = length ] || wrong 'another end'
expect_in err "$first" 'was lost at token' 'tokens are fed again'

# Not asked to go on, nothing to go on with, no room.
generate --devices 0,1
expect_code 1
expect_in err 'VK_ERROR_DEVICE_LOST' "'--on-lost continue' would go on"
generate --devices 0,1 --on-lost stop
expect_code 1
expect_in err 'VK_ERROR_DEVICE_LOST'
expect_no_loss
parvin run "$MODEL" -p 'Once upon a time' -n 64 --temp 0 --device "$first" --on-lost continue
expect_code 1
expect_in err 'is the only device left: there is none to go on with'
export PV_LOST="$first:vkQueueSubmit:50,$second:vkQueueSubmit:60"
generate --devices 0,1 --on-lost continue
expect_code 1
expect_in err 'going on with the other 1 of 2 devices' 'is the only device left: there is none to go on with'
export PV_LOST="$first:vkQueueSubmit:50"
generate --devices 0,1 --on-lost continue --plan memory_mib=18
expect_code 1
expect_in err 'have room for'
parvin run "$MODEL" -p a --devices 0,1 --on-lost maybe
expect_usage 'stop or continue'
finish
