#!/bin/sh
# The terminal view in tmux: a live run and a replay, with true colour, 256 colours and plain ASCII, resized, with its keys;
# and the terminal as it was after the end, Ctrl-C, Ctrl-Z and a kill.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
clusters=$SOURCE/models/fables-5m.clusters.gguf
gunzip -c "$SOURCE/tests/apps/window/scene.jsonl.gz" >scene.jsonl
# shellcheck source=tests/apps/tmux.sh
. "$(dirname "$0")/tmux.sh"
shown() { [ "$(flag alternate_on) $(flag cursor_flag)" = '1 0' ] || wrong 'the view should have the screen, without a cursor'; }
run="$PARVIN run $MODEL -c $clusters -p 'Once upon a time' -n 100000 --temp 0.9 --seed 5 --ignore-eos --view term"
half='▌▌▌▌▌▌▌▌'

# A live run in true colour, while it runs resized, then Ctrl-C.
open 100 30 COLORTERM=truecolor TERM=tmux-256color
enter "$run"
settle '^ Parvin · live'
settle "^  3 *$half"
shown
grep -q 'cluster picked in layers 0 to 3' screen || wrong 'the waterfall has no head'
before=$(sed -n 's/.* \([0-9]*\) tokens .*/\1/p' screen)
[ "$(wc -L <screen)" -ge 99 ] || wrong 'the picture is narrower than the terminal'
screen -e
grep -q '38[;:]2[;:]' screen || wrong 'no true colour'
tmux resize-window -x 61 -y 17
for _ in $(seq 40); do
	screen
	[ "$(grep -cE '[█▉▊▋▌▍▎▏]+·* .* %' screen)" -ge 3 ] && [ "$(wc -L <screen)" -le 61 ] && tail -n 1 screen | grep -q '^space' && break
	sleep 0.25
done
tail -n 1 screen | grep -q '^space' || wrong 'the last row after a resize is not the keys'
head -n 1 screen | grep -q '^ Parvin' || wrong 'the first row after a resize is not the title'
[ "$(wc -l <screen)" = 17 ] || wrong 'the picture does not fill 17 rows'
tmux resize-window -x 120 -y 40
settle '(all|[0-9]+) +[█▉▊▋▌▍▎▏].* %'
settle '^ Parvin · .* half-life 32'
after=$(sed -n 's/.* \([0-9]*\) tokens .*/\1/p' screen)
[ "${after:-0}" -gt "${before:-0}" ] || wrong "the view does not go on: $before tokens, then $after"
keys C-c
settle 'tok/s, .* ms a token'
last="$run, then Ctrl-C"
sane 130

# Its end by a kill, and a stop in between.
open 90 24 COLORTERM= TERM=screen-256color
enter "sh -c 'echo \$\$ >pid; exec $PARVIN view scene.jsonl --view term'"
settle '^ Parvin · at the end'
shown
screen -e
grep -q '38[;:]5[;:]' screen || wrong 'no 256 colours'
! grep -q '38[;:]2[;:]' screen || wrong 'true colour where the terminal has 256'
keys C-z
settle 'Stopped'
[ "$(flag alternate_on)" = 0 ] || wrong 'a stopped view keeps the screen'
enter fg
settle '^ Parvin · at the end'
shown
keys h
settle 'longer, shorter memory'
keys h
keys Left Left Left
settle '^ Parvin · paused .* 37 tokens'
keys End
settle '40 tokens'
keys -l '+'
settle 'half-life 64'
keys t p
settle 'palette ember'
kill "$(cat pid)"
last="$PARVIN view, then a kill"
sane 130

# Without colours and without Unicode: shades of ASCII, and no byte above 127.
open 80 24 COLORTERM= TERM=vt100 LC_ALL=C
enter "$PARVIN view scene.jsonl --view term"
settle '^ Parvin \| at the end'
shown
screen -e
! LC_ALL=C grep -q '[^ -~[:cntrl:]]' screen || wrong 'bytes that are no ASCII'
! grep -qE '[34]8[;:][25][;:]' screen || wrong 'colours where there are none'
screen
grep -qE '^  0 [ .:=+*#%@-]*[+*#%@]' screen || wrong 'no shades'
grep -q '##*\.\.*' screen || wrong 'no bars of density'
keys q
sane 0
finish
