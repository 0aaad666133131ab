#!/bin/sh
# parvin conform --compile-only. AMD's compiler without the hardware: RADV can pretend to be a GPU that is not there, far
# enough to build pipelines (RADV_FORCE_FAMILY). Every pipeline of every variant is built for two families, of the chosen
# plan for three more; none may fail or spill. What rose against docs/devices is left in rises.txt of the folder the test runs in.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
icd=$(find /usr/share/vulkan/icd.d /etc/vulkan/icd.d -name 'radeon_icd*.json' 2>/dev/null | head -n 1)
[ -n "$icd" ] || { echo 'skipped: RADV is not installed'; exit 77; }
devices=$SOURCE/docs/devices

# on FAMILY ARGUMENT...: parvin on a GPU of that family; files err.FAMILY, exit code in code.FAMILY.
on() {
	family=$1
	shift
	RADV_FORCE_FAMILY=$family VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd "$PARVIN" "$@" 2>"err.$family"
	echo $? >"code.$family"
}
# The command's output for a family as what the checks of lib.sh look at.
look_at() {
	cp "$2" out
	cp "err.$1" err
	code=$(cat "code.$1")
	last="parvin conform --compile-only, RADV_FORCE_FAMILY=$1"
}
count() { sed -n "s/^ *\"$1\": \([0-9]*\),\{0,1\}\$/\1/p" out | head -n 1; }
build() {
	family=$1
	case $family in navi21 | gfx1100) set -- ;; *) set -- --variant plan ;; esac
	on "$family" conform --compile-only --validation "$@" --json --against "$devices" >"$family.json"
}

# Two at a time.
set -- navi21 gfx1100 polaris10 vega20 navi10
while [ $# -gt 0 ]; do
	build "$1" &
	if [ $# -gt 1 ]; then
		build "$2"
		shift
	fi
	shift
	wait
done
: >../rises.txt
for family in polaris10 vega20 navi10 navi21 gfx1100; do
	look_at $family $family.json
	expect_code 0
	case $family in navi21 | gfx1100) least=500 ;; *) least=150 ;; esac
	expect_number 'n > least' n "$(count compiled)" least $least
	[ "$(count failed)" = 0 ] || wrong 'not everything was built'
	[ "$(count spilling)" = 0 ] || wrong "$(count spilling) pipelines spill"
	expect_in out '"VGPRs"' '"Spilled VGPRs"' '"LDS size"' '"Code size"' '"Subgroups per SIMD"' '"rises": ['
	[ -f "$devices/radv-$family.json" ] || wrong "docs/devices has no radv-$family.json"
	sed -n '/^ *"rises": \[/,/\]/p' out | tr '"' '\n' | sed -n "s/^.* -> .*/$family: &/p" >>../rises.txt
done

# Every shader is in some pipeline.
sed -n 's/^ *"\([a-z0-9_.]*\) WG=.*/\1/p' navi21.json | sort -u >built
sed 's|.*/||; s|\.spv$||' "$SHADERS" | sort -u | comm -23 - built >missed
[ ! -s missed ] || wrong "no case needs these shaders in any variant: $(tr '\n' ' ' <missed)"
[ "$(wc -l <built)" -gt 90 ] || wrong "only $(wc -l <built) shaders were built"

# The table, one kernel in one variant, and a comparison that finds something.
on navi21 conform --compile-only --variant plan --filter matvec/ >table
look_at navi21 table
expect_code 0
expect_in out 'registers' 'waves' 'matvec' ' 0 failed, 0 spill'
sed 's/\("matvec.f16.storage.sg [^:]*: \[[0-9]*, \)[0-9]*,/\11,/' "$devices/radv-navi21.json" >lower.json
on navi21 conform --compile-only --variant plan --filter matvec/ --against lower.json >table
look_at navi21 table
expect_code 0
expect_in out 'rise: matvec.f16.storage.sg WG=' ': registers 1 -> ' ' numbers rose'
on navi21 conform --compile-only --variant plan --filter matvec/ --against "$SOURCE/docs/devices/lavapipe.json" >table
look_at navi21 table
expect_code 1
expect_in err 'no compile-only report of'
on navi21 conform --compile-only --plan attn_values=256 --filter attn_prefill/heads=4/2x128 >table
look_at navi21 table # what would spill is seen to
expect_code 0
expect_in out '1 pipelines built, 0 failed, 1 spill'
on navi21 conform --compile-only --variant plan --filter matvec/ --markdown a.md >table
look_at navi21 table
expect_code 0
grep -q '^| matvec | [1-9][0-9]* / [1-9]' a.md || wrong 'the Markdown report has no row for matvec'

# It is a device that nothing else can be done with.
on navi21 conform --device 0 >table
look_at navi21 table
expect_code 1
expect_in err 'it reports no memory'
parvin conform --compile-only --minutes 1
expect_usage 'runs nothing'

# A driver that says nothing about its code.
need_device
parvin conform --compile-only --variant plan --filter add/
expect_code 0
if ! grep -q registers out; then expect_in out 'the driver says nothing about what it compiles' 'add '; fi
[ ! -s ../rises.txt ] || { echo 'rose against docs/devices:' && cat ../rises.txt; }
finish
