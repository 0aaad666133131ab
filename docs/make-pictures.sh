#!/bin/sh
# Makes the pictures of README.md and docs/clusters.md from the model in models/:
#     docs/make-pictures.sh [FOLDER]        (docs/pictures, after './bootstrap build'; a minute or two)
# page.png, of docs/serve.md, is a screenshot that tests/web/drive.mjs takes of a server with these files and --ctx 512.
# It needs ImageMagick and, for the window's picture, Xvfb and xdotool. Environment: PARVIN, the program
# (build/parvin); TOKENS, how much of models/tales.txt to read (all).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/docs/pictures}
parvin=${PARVIN:-$root/build/parvin}
model=$root/models/fables-5m-f16.gguf
clusters=$root/models/fables-5m.clusters.gguf
[ -x "$parvin" ] || { echo "make-pictures: no $parvin; './bootstrap build' makes it" >&2; exit 1; }
mkdir -p "$out"
work=$(mktemp -d)
server='' viewer=''
trap 'kill $viewer $server 2>/dev/null; rm -rf "$work"' EXIT
# shrink NAME: a repository is no place for large files.
shrink() { convert "$work/$1.png" +dither -colors 255 -strip -define png:compression-level=9 "PNG8:$out/$1.png"; }

for kind in layers waterfall neurons tokens; do
	"$parvin" heatmap "$model" -c "$clusters" --kind $kind ${TOKENS:+--tokens "$TOKENS"} -q -o "$work/$kind.png"
	shrink $kind
done

"$parvin" run "$model" -c "$clusters" -p 'There was once a poor miller who had' -n 120 --seed 7 --oracle -q \
	--trace "$work/run.jsonl" >/dev/null
unset WAYLAND_DISPLAY XDG_SESSION_TYPE
Xvfb -displayfd 3 -screen 0 1280x800x24 -noreset -nolisten tcp 3>"$work/display" 2>/dev/null &
server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
	[ -s "$work/display" ] && break
	sleep 0.5
done
DISPLAY=:$(cat "$work/display")
export DISPLAY
"$parvin" view "$work/run.jsonl" -c "$clusters" --view window >/dev/null &
viewer=$!
window=$(timeout 60 xdotool search --sync --onlyvisible --name 'Parvin: ' | head -n 1)
for _ in 1 2 3 4 5 6 7 8; do xdotool key bracketright; done # as fast as it goes
sleep 4
xdotool mousemove 990 400 # over a token's cluster, which is then explained
sleep 2
import -silent -window "$window" "$work/window.png"
shrink window
xdotool key q
wait $viewer
viewer=''
