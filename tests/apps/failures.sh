#!/bin/sh
# What can go wrong while running: devices, prompts, full disks, folders that cannot be written.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
head -n 12 "$SOURCE/models/tales.txt" >text

# No Vulkan device, and none of that name.
last='without drivers'
for command in devices 'run model -p a' conform bench; do
	# shellcheck disable=SC2086
	set -- $command
	[ "$1" != run ] || set -- run "$MODEL" -p a
	code=0
	VK_DRIVER_FILES=/nonexistent.json VK_ICD_FILENAMES=/nonexistent.json "$PARVIN" "$@" >out 2>err || code=$?
	last="parvin $1 without drivers"
	expect_failure Vulkan
done
parvin run "$MODEL" -p a --device 'no such device'
expect_failure 'no such device'
parvin run "$MODEL" -p a --device 99
expect_code 1
parvin run "$MODEL" -p a --devices 0,
expect_code 0
parvin run "$MODEL" -p a --devices ,0
expect_code 2
parvin run "$MODEL" -p a --device 0 --devices 0
expect_usage 'not both'
parvin run "$MODEL" -p a --plan accces=storage
expect_code 2
expect_in err accces
parvin run "$MODEL" -p a --ffn-act tanh
expect_in err tanh
[ "$code" != 0 ] || wrong 'an unknown activation was taken'

# Prompts.
parvin run "$MODEL" -p '' -n 4 --temp 0
expect_code 0
parvin run "$MODEL" -f /dev/null -n 4 --temp 0
expect_code 0
printf 'a\377\376b\303' | "$PARVIN" run "$MODEL" -p - -n 4 --temp 0 --json >out 2>err || wrong 'bytes that are not UTF-8 were refused'
expect_in out '"prompt": "a'
cat text text text text >long
parvin run "$MODEL" -f long
expect_usage 'the prompt has' 'context holds 256' '--ctx'
parvin run "$MODEL" -f long --ctx 16 -n 4
expect_usage 'context holds 16'
parvin run "$MODEL" -p 'Once upon a time' --ctx 8 -n 40 --temp 0
expect_code 0
expect_in err 'context full'
parvin run "$MODEL" -p 'Once upon a time' -n 0
expect_code 0
parvin eval "$MODEL" --text /dev/null
expect_usage 'has 0 tokens'

# A full disk and folders that cannot be written leave nothing behind.
if [ -w /dev/full ]; then
	"$PARVIN" run "$MODEL" -p a -n 4 -q >/dev/full 2>err && wrong 'a full disk was not noticed'
	expect_in err 'cannot write the output'
fi
rm -f long
(
	ulimit -f 16
	exec "$PARVIN" eval "$MODEL" --text text --ctx 32 --windows 1 --logits logits >out 2>err
)
code=$? last='eval --logits on a full disk'
expect_failure 'cannot write'
parvin eval "$MODEL" --text text --ctx 32 --windows 1 --logits nowhere/logits
expect_failure nowhere/logits
expect_files text
parvin eval "$MODEL" --text text --ctx 32 --windows 1 --logits logits --json
expect_code 0
[ "$(wc -c <logits)" = $((32 * 4096 * 4)) ] || wrong 'the logits have another size'
expect_files text logits

last='parvin run | head -c 10'
"$PARVIN" run "$MODEL" -p a -n 60 -q 2>err | head -c 10 >out
expect_empty err
XDG_CACHE_HOME=/proc/nowhere
parvin run "$MODEL" -p a -n 2 --temp 0
expect_code 0
finish
