#!/bin/sh
# The command line without a device: help, wrong usage, files that are no models, output that cannot be written.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"

parvin
expect_code 2
expect_in err Commands:
parvin --help
expect_code 0
for command in devices info fit run eval bench conform demo; do
	expect_code 0
	expect_in out "  $command "
done
for command in devices info fit run eval bench conform demo; do
	parvin "$command" --help
	expect_code 0
	expect_empty err
	expect_in out "parvin $command" Options: Examples:
done
parvin help run
expect_in out 'parvin run MODEL.gguf'
parvin --version
expect_in out 'parvin '
for command in capture merge; do
	parvin "$command" --help
	expect_code 0
	expect_in out "parvin $command" Options: Examples:
done
parvin capture "$MODEL"
expect_usage 'give -o FILE'
parvin merge a.capture
expect_usage 'give -o FILE'
parvin merge -o all.capture
expect_usage 'PART... is missing'
for shard in 0/2 3/2 2 1/ /2 a/b 1/2/3; do
	parvin capture "$MODEL" --shard $shard -o a.capture
	expect_usage 'takes I/N'
done
parvin merge missing.capture -o all.capture
expect_failure missing.capture
parvin merge "$MODEL" -o all.capture
expect_failure 'is no capture file'
parvin fit "$MODEL" --capture a --text b
expect_usage 'leave those out'
parvin fit "$MODEL" --density 0.2 --max-ppl-rise 1%
expect_usage 'one or the other'
parvin fit "$MODEL" --capture a --max-ppl-rise 1%
expect_usage 'give its --text too'
for k in many 0 -1 autos; do
	parvin fit "$MODEL" -k $k
	expect_usage '--clusters takes auto or a whole number'
done
for share in 1%% % 101% 0.05% 1.1 20percent; do
	parvin fit "$MODEL" --density $share
	expect_usage '--density takes a share'
done

parvin devics
expect_usage "did you mean 'devices'?"
parvin run "$MODEL" --tmep 1
expect_usage "did you mean '--temp'?"
parvin run "$MODEL" -z
expect_usage "no option '-z'"
parvin run "$MODEL" -temp 1
expect_usage "no option '-temp'"
parvin run "$MODEL" --temp warm
expect_usage "--temp takes a number" 'default: 0.8'
parvin run "$MODEL" --temp=-1
expect_usage 'from 0 to 100'
parvin devices --split 3,1
expect_usage 'go with --fit MODEL'
parvin run "$MODEL" -n 1.5
expect_usage 'whole number'
parvin run "$MODEL" --n-predict 99999999999
expect_usage 'whole number'
parvin run "$MODEL" -p
expect_usage 'needs a value'
parvin run "$MODEL" --json=yes
expect_usage 'takes no value'
parvin fit "$MODEL" --text --json
expect_usage '--text needs a value'
parvin info
expect_usage 'FILE.gguf is missing'
parvin info "$MODEL" "$MODEL"
expect_usage 'unexpected argument'
parvin run "$MODEL"
expect_usage 'there is no prompt'
parvin run "$MODEL" -p a -f b
expect_usage 'not both'
parvin eval "$MODEL"
expect_usage 'give --text'
parvin bench -c some.gguf
expect_usage 'needs its model'

parvin info nothing.gguf
expect_failure nothing.gguf 'No such file'
parvin info .
expect_failure 'regular file'
parvin info "$SOURCE/models/tales.txt"
expect_failure 'not a GGUF file'
head -c 100000 "$MODEL" >short.gguf
parvin info short.gguf
expect_failure short.gguf
: >empty.gguf
parvin info empty.gguf
expect_failure empty.gguf
parvin run "$MODEL" -f nothing.txt
expect_failure nothing.txt 'No such file'
parvin run "$MODEL" -f .
expect_failure 'directory'
parvin run "$MODEL" -c "$MODEL" -p a
expect_failure cluster
parvin run "$MODEL" -c nothing.gguf -p a
expect_failure nothing.gguf

parvin info "$MODEL"
expect_code 0
expect_in out arcee '1536 neurons'
parvin info -v "$MODEL"
expect_in out general.architecture blk.0.ffn_up.weight
parvin info --json "$MODEL"
expect_in out '"d_ffn": 1536'
[ "$(head -c 1 out)" = '{' ] || wrong 'the JSON result is not one object'

# The plan of a saved device needs no device.
caps=$SOURCE/tests/data/caps
parvin devices --caps "$caps/nvidia_rtx2080.json"
expect_code 0
cmp -s out "$caps/nvidia_rtx2080.plan.json" || wrong 'not the plan in tests/data/caps'
parvin devices --caps "$caps/nvidia_rtx2080.json" --plan n_batch=7
expect_in out '"n_batch": 7'
parvin devices --caps "$SOURCE/models/tales.txt"
expect_failure 'caps: line 1'

if [ -w /dev/full ]; then
	last='parvin info >/dev/full'
	"$PARVIN" info "$MODEL" >/dev/full 2>err && wrong 'a full disk was not noticed'
	expect_in err 'cannot write the output'
fi
last='parvin info -v | head -n 1'
"$PARVIN" info -v "$MODEL" 2>err | head -n 1 >out
expect_empty err
finish
