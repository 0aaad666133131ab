# Terminals in tmux, for scripts that have read lib.sh. Skips (77) where there is no tmux or no device.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154,SC2119,SC2120 # variables of lib.sh, and for it; options that scripts give
command -v tmux >/dev/null || {
	echo 'skipped: there is no tmux'
	exit 77
}
need_device
: >err
unset TMUX NO_COLOR
LC_ALL=C.UTF-8
export LC_ALL
n=0 # a server each: one that was killed may still be on its way out
tmux() { command tmux -u -L "parvin-$$-$n" -f /dev/null "$@"; }
trap 'tmux kill-server 2>/dev/null; cd / && rm -rf "$work"' EXIT

# open COLUMNS ROWS NAME=VALUE...: a terminal with a shell in it.
open() {
	tmux kill-server 2>/dev/null
	n=$((n + 1)) columns=$1 rows=$2 last='tmux'
	shift 2
	tmux new-session -d -x "$columns" -y "$rows" env PS1='$ ' ENV= "$@" sh || exit 1
	settle '^\$'
}
# keys KEY...: as tmux names them.
keys() { tmux send-keys "$@"; }
enter() {
	last="$1"
	tmux send-keys -l "$1"
	tmux send-keys Enter
}
screen() { tmux capture-pane -p "$@" >screen; }
# settle PATTERN: waits for a line of the screen that the pattern is in.
settle() {
	for _ in $(seq 120); do
		screen
		grep -qE -e "$1" screen && return
		sleep 0.25
	done
	wrong "the screen does not show '$1'"
	cat screen
	exit 1
}
flag() { tmux display-message -p "#{$1}"; }
# sane CODE: the program ended with it; the shell's screen is back, with its cursor, echo and whole lines.
sane() {
	settle '^\$ *$'
	[ "$(flag alternate_on)" = 0 ] || wrong 'the alternate screen was not left'
	[ "$(flag cursor_flag)" = 1 ] || wrong 'the cursor is hidden'
	keys -l 'echo code $?; stty -a'
	settle '^\$ echo code' # there is echo
	keys Enter
	settle "^code $1\$"
	settle '(^|[ ;])icanon( |;|$)'
	for mode in isig echo ixon icrnl; do
		grep -qE "(^|[ ;])$mode( |;|\$)" screen || wrong "the mode $mode is off"
	done
}
