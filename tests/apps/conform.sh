#!/bin/sh
# parvin conform: its modes and reports, on small selections.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
parvin devices --json
device=$(sed -n 's/^ *"uuid": "\([^"]*\)".*/\1/p' out | head -n 1)

parvin conform --device "$device" --list-variants
expect_code 0
expect_in out plan storage-invocation texel-odd no-subgroups no-fp16-storage small-shared minimum gpu-sizes
variants=$(sed -n 's/^  \([a-z0-9-]*\) .*/\1/p' out | wc -l)
expect_number 'n >= 18' n "$variants"

parvin conform --device "$device" --filter rmsnorm --junit a.xml --markdown a.md --json
expect_code 0
expect_number 'n > 20' n "$(json_field passed)"
for text in '<testsuite ' '<testcase classname="' '.rmsnorm" name="' '[no-subgroups]"' '</testsuites>'; do
	grep -qF -e "$text" a.xml || wrong "'$text' is not in the JUnit report"
done
if command -v xmllint >/dev/null; then xmllint --noout a.xml || wrong 'the JUnit report is no XML'; fi
grep -q '^| rmsnorm | [1-9]' a.md || wrong 'the Markdown report has no row for rmsnorm'
mkdir reports
cp out reports/one.json
parvin conform --table reports
expect_code 0
expect_number 'n == 1' n "$(grep -c '^| .* | [1-9][0-9]* | 0 |' out)"
echo '{}' >reports/two.json
parvin conform --table reports
expect_failure 'two.json is not a report'
mkdir hostile # a saved report may be anybody's
sed 's/^\( *"name": "\)/\1\\u001b[31m\\u009b1m\\n| /; s/"rmsnorm": {/"\\u001b]0;x": {/' reports/one.json >hostile/one.json
grep -q 'u001b\[31m' hostile/one.json || wrong 'the hostile report is not hostile'
parvin conform --table hostile
expect_code 0
if LC_ALL=C grep -q "$(printf '\033')\|$(printf '\302\233')" out; then wrong 'a saved report reached the terminal raw'; fi
rm -r hostile
expect_number 'n == 1' n "$(grep -c '^| .* | [1-9][0-9]* | 0 |' out)"

# The page in docs/ is what the reports in docs/ make.
parvin conform --table "$SOURCE/docs/devices"
expect_code 0
cmp -s out "$SOURCE/docs/devices.md" || wrong 'docs/devices.md is not what its reports say; make it again'

parvin conform --device "$device" --variant no-fp16-storage --filter 'add/' -v
expect_code 0
expect_in out '[no-fp16-storage]' 'seed 1'
parvin conform --device "$device" --variant warp
expect_code 2
expect_in err 'there is no variant warp here'

# One page to attach to a bug, and what changed since a saved report.
parvin conform --device "$device" --filter 'add/' --variant plan --json --report page.md
expect_code 0
cp out before.json
for text in '# parvin conform: ' '| result | all passed |' '| add | '; do
	grep -qF -e "$text" page.md || wrong "'$text' is not on the page"
done
parvin conform --device "$device" --filter 'add/' --variant plan --against before.json
expect_code 0
expect_in out 'changed since' '- nothing'
parvin conform --device "$device" --filter 'add/' --variant plan --against reports/two.json
expect_code 1
expect_in err 'two.json is not a report'
expect_empty out
parvin conform --device "$device" --filter 'add/' --variant plan --compile-only --against nodir
expect_code 1
expect_in err 'nodir: no saved reports'
expect_empty out
sed 's/"rows": \[\]/"rows": [{"kernel": "add", "case": "31 T=1 [plan]", "result": "failed", "fault": "NaN"}]/' \
	before.json >failed.json
parvin conform --device "$device" --filter 'add/' --variant plan --against failed.json
expect_code 0
expect_in out '- add/31 T=1 [plan]: no longer fails (NaN)'
rm page.md before.json failed.json

# Whole models: dense, routed, gated, quantised; nothing is left where they lay.
TMPDIR=$PWD
export TMPDIR
parvin conform --device "$device" --quick --filter 'model/'
expect_code 0
expect_in out 'model                    6 passed'
expect_files reports a.xml a.md

# A driver that dies in one pipeline (a layer of ours in its place) costs the rows that need it, by name; all others are as
# without it. Without --isolate it takes the command along.
crash() { VK_LAYER_PATH=$LAYERS VK_INSTANCE_LAYERS=VK_LAYER_PARVIN_lost PV_CRASH=$spv parvin conform "$@"; }
spv=$(grep '/softmax_grad.*storage.*\.spv$' "$SHADERS" | head -n 1)
only="--device $device --variant storage-invocation --quick"
# shellcheck disable=SC2086
{
	parvin conform $only --filter ad --isolate
	expect_code 0
	sed 's/largest.*//; /seed 1$/d' out >whole
	parvin conform $only --filter ad
	sed 's/largest.*//; /seed 1$/d' out | cmp -s - whole || wrong 'a child process gives other results'
	crash $only --filter softmax_grad --json --isolate --report crash.md
	expect_code 1
	rows=$(json_field failed)
	expect_number 'n >= 1 && p == 0' n "$rows" p "$(json_field passed)"
	grep -q '^| crash | [1-9][0-9]* | softmax_grad | storage-invocation |$' crash.md || wrong 'the page does not name the crash'
	expect_in out 'the driver killed the process: signal 11' '"kernel": "softmax_grad"' ' --isolate"' '"fault": "crash"'
	crash $only --filter ad --isolate
	expect_code 1
	expect_in err "$rows cases failed"
	sed '/FAILED/d; /^         parvin/d; s/largest.*//; /seed 1$/d' out >left
	grep -vE 'softmax_grad|skipped$' whole >others
	grep -vE 'softmax_grad|skipped$' left | cmp -s - others || wrong 'other rows than those of the pipeline were lost'
	crash $only --filter softmax_grad
	[ "$code" -gt 128 ] || wrong "exit code $code where the driver crashes"
}
for option in --compile-only --list-variants; do
	parvin conform --isolate $option
	expect_usage "leave out $option"
done

# Time is up after one round at the least; each round has a seed of its own. A slow device wants longer for a second.
for minutes in 0.02 0.2 1; do
	parvin conform --device "$device" --filter 'argmax/' --minutes $minutes --seed 7
	expect_code 0
	if grep -q ', seeds 7 to ' out; then break; fi
done
expect_in out 'seed 7' ', seeds 7 to '
finish
