#!/bin/sh
# The window on an X server of its own: every panel and state against reference pictures, keys, mouse, resizing,
# hiding, a saved PNG, and a live run against its replay. 'window.sh refs' writes the references: look at them.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
refs=$SOURCE/tests/apps/window
fitted=$SOURCE/models/fables-5m.clusters.gguf
clusters=scene.clusters.gguf # a part of a file that once came with the model: a new fit changes no picture here
unset WAYLAND_DISPLAY XDG_SESSION_TYPE
DISPLAY=:4095 # nobody's
export DISPLAY
gunzip -c "$refs/scene.jsonl.gz" >scene.jsonl
gunzip -c "$refs/scene.clusters.gguf.gz" >scene.clusters.gguf

parvin view scene.jsonl --view window
if grep -qF 'built without the window' err; then
	expect_failure libglfw3-dev PV_WINDOW '--view term'
	parvin run "$MODEL" -c "$fitted" -p a -n 2 --view window
	expect_failure libglfw3-dev PV_WINDOW '--view term'
	finish
fi
expect_failure 'no display' '--view term'
parvin run "$MODEL" -c "$fitted" -p a -n 2 --view window
expect_code 1
expect_in err 'no display' '--view term'
{ head -n 5 scene.jsonl; sed -n '6s/"cluster":\[[0-9]*/"cluster":[9999/p' scene.jsonl; } >hostile.jsonl
parvin view scene.jsonl -c "$fitted" --view window
expect_failure 'clusters a layer' 'give the file it was made with'
parvin heatmap hostile.jsonl -o hostile.png
expect_failure 'hostile.jsonl:6:' cluster
head -c 20000 scene.jsonl >cut.jsonl
parvin heatmap cut.jsonl -o cut.png
expect_failure 'cut.jsonl:'

for tool in Xvfb xdotool import compare; do
	command -v $tool >/dev/null && continue
	echo "skipped: there is no $tool"
	[ "$failures" -eq 0 ] || exit 1
	exit 77
done
need_device

Xvfb -displayfd 3 -screen 0 1920x1200x24 -r -noreset -nolisten tcp 3>display 2>xvfb.log &
server=$! viewer=
trap 'kill $viewer $server 2>/dev/null; cd / && rm -rf "$work"' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	DISPLAY=:$(cat display)
	xdotool getmouselocation >out 2>&1 && break
	sleep 0.5
done

# open_window ARGUMENT...: starts parvin with a window and waits for it; the mouse rests in its head line.
open_window() {
	xdotool mousemove 640 4
	last="parvin $*"
	"$PARVIN" "$@" >out 2>err &
	viewer=$!
	id=$(timeout 60 xdotool search --sync --onlyvisible --name 'Parvin: ' | head -n 1)
	[ -n "$id" ] || { wrong 'there is no window'; cat err; exit 1; }
}
close_window() {
	key q
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		kill -0 $viewer 2>/dev/null || break
		sleep 0.5
	done
	kill -KILL $viewer 2>/dev/null && wrong 'the window does not close'
	wait $viewer || wrong "the window ended with code $?"
	viewer=
}
key() {
	for name in "$@"; do
		xdotool key "$name"
		sleep 0.1
	done
}
shot() { import -silent -window "$id" "$1" 2>/dev/null || import -silent -window root -crop 1280x800+0+0 +repage "$1"; }
# Pixels that differ by more than text does between versions of its library; 'all' if the sizes do.
differ() {
	n=$(compare -metric AE -fuzz 10% "$1" "$2" null: 2>&1) || :
	case $n in
	'' | *[!0-9.e+]*) echo 9999999 ;;
	*) printf '%.0f\n' "$n" ;;
	esac
}
# shows NAME: the window comes to look like the reference, to one pixel in a hundred.
shows() {
	last="the picture $1"
	if [ "${mode:-}" = refs ] && [ ! -e "$1.png" ]; then
		sleep 3
		shot "$1.png"
		convert "$1.png" +dither -colors 255 -strip -define png:compression-level=9 PNG8:"$refs/$1.png"
	fi
	for _ in $(seq 80); do # a busy machine with a slow driver takes its time
		shot "$1.png"
		n=$(differ "$refs/$1.png" "$1.png")
		[ "$n" -gt 10240 ] || return 0
		sleep 0.5
	done
	wrong "$n pixels differ from $refs/$1.png"
	[ -z "${KEEP:-}" ] || cp "$1.png" "$KEEP/"
}
# changes WHAT BEFORE [PIXELS]: the window comes to differ from the picture BEFORE; leaves what it shows in BEFORE.
changes() {
	last="the picture after $1"
	for _ in $(seq 60); do
		shot now.png
		[ "$(differ "$2" now.png)" -lt "${3:-40}" ] || { sleep 0.3; shot "$2"; return 0; }
		sleep 0.25
	done
	wrong 'nothing changed'
}
mode=${1:-}

# A trace, played to its end: always the same picture.
open_window view scene.jsonl -c "$clusters"
shows scene
shot state.png
key p
changes 'key p (palette)' state.png 400
key p p p
key Left Left Left
changes 'key Left' state.png 400
key End
key Down
changes 'key Down (layer)' state.png 400
key Up
key minus minus
changes 'key - (half-life)' state.png
key plus plus
key h
shows help
key h
xdotool mousemove 170 200
changes 'the mouse over the heatmap' state.png 400
xdotool mousemove 640 4
sleep 3 # a note in the head line goes
shows scene
xdotool mousemove 400 200 click 4 click 4
changes 'the wheel over the heatmap' state.png 400
xdotool mousedown 1 mousemove 340 200 mouseup 1
changes 'the heatmap dragged' state.png 400
key o
changes 'key o (columns by use)' state.png 400
key o z
xdotool mousemove 640 4
sleep 3
shows scene
key t
xdotool mousemove 900 300 click 1 mousemove 640 4
shows light
xdotool mousemove 900 300 click 1 mousemove 640 4
key t
key Down # the click chose layer 1
sleep 3
shows scene
key s
sleep 2
last='key s'
saved=$(find . -name 'parvin-*.png' | head -n 1)
[ -n "$saved" ] || wrong 'no picture was saved'
[ "$(differ "$refs/scene.png" "${saved:-/dev/null}")" -le 10240 ] || wrong 'the saved picture is another'
sleep 3
xdotool windowunmap "$id"
sleep 1
xdotool windowmap --sync "$id"
sleep 1
shows scene
xdotool windowsize --sync "$id" 820 560
shows small
xdotool windowsize --sync "$id" 300 90
sleep 1
xdotool windowsize --sync "$id" 1280 800
shows scene
close_window
expect_empty err

# Paused and stepped: the picture of a fixed token in the middle.
open_window view scene.jsonl -c "$clusters"
shows scene
key Left Left Left Left Left Left Left Left Left Left
shows stepped
close_window

# The surface is lost while the window is up (tests/layer): it goes on with another.
if [ -e "$LAYERS/lost.json" ]; then
	parvin devices --json
	PV_LOST=$(json_field name | head -n 1):vkAcquireNextImageKHR:4
	VK_LAYER_PATH=$LAYERS VK_INSTANCE_LAYERS=VK_LAYER_PARVIN_lost
	export PV_LOST VK_LAYER_PATH VK_INSTANCE_LAYERS
	open_window view scene.jsonl -c "$clusters" --view-device "${PV_LOST%%:*}"
	shows scene
	key t
	key t
	shows scene
	close_window
	expect_empty err
	unset PV_LOST VK_LAYER_PATH VK_INSTANCE_LAYERS
fi
parvin view scene.jsonl --view-device 'No such device'
expect_failure 'No such device' 'parvin devices'

# A screen of half as much again as many pixels an inch: all is larger, nothing else is.
if command -v xprop >/dev/null; then
	xprop -root -f RESOURCE_MANAGER 8s -set RESOURCE_MANAGER 'Xft.dpi: 144'
	open_window view scene.jsonl -c "$clusters"
	last='a high-DPI window'
	n=9999999
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		import -silent -window "$id" dense.png
		[ "$(identify -format '%wx%h' dense.png)" = 1920x1200 ] && convert dense.png -resize 1280x800 dense.png
		n=$(differ "$refs/scene.png" dense.png)
		[ "$n" -gt 60000 ] || break
		sleep 0.5
	done
	[ "$n" -le 60000 ] || wrong "$n pixels differ from $refs/scene.png"
	close_window
	xprop -root -remove RESOURCE_MANAGER
fi

# A live run, then its replay.
rm -f parvin-*.png
open_window run "$MODEL" -c "$fitted" -p 'Once upon a time' -n 64 --temp 0 --view window --trace live.jsonl
for _ in $(seq 120); do
	[ "$(wc -l <live.jsonl)" -lt 64 ] || break
	sleep 0.5
done
sleep 2
shot live.png
close_window
[ "$(wc -l <live.jsonl)" -ge 60 ] || wrong 'the run did not go on to its end'
expect_in out 'eldest'
mv live.png live-run.png
open_window view live.jsonl -c "$fitted"
last='the replay of a live run'
n=9999999
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	shot replay.png
	n=$(differ live-run.png replay.png)
	[ "$n" -gt 400 ] || break
	sleep 0.5
done
[ "$n" -le 400 ] || wrong "$n pixels differ from the live run"
[ -z "${KEEP:-}" ] || cp live-run.png replay.png "$KEEP/"
close_window
finish
