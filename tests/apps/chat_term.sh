#!/bin/sh
# parvin chat on a terminal, in tmux: two turns, /undo, Ctrl-C in an answer and at the prompt, a paste of 10,000 characters, a
# resize, the history, the heatmap, Ctrl-D.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/apps/tmux.sh
. "$(dirname "$0")/tmux.sh"
XDG_STATE_HOME=$work/state
export XDG_STATE_HOME
chat="$PARVIN chat $MODEL --ctx 2000 --chat-template none --seed 5 -c $SOURCE/models/fables-5m.clusters.gguf"

open 90 30 COLORTERM= TERM=screen-256color
enter "$chat -n 20"
settle 'Ctrl-D ends'
settle '^> *$'
enter 'Once upon a time'
settle '^> *$'
enter "And then \\"
settle '^\. *$'
enter 'the fox'
settle '^> *$'
enter /stats
settle 'answers   2, 40 tokens'
enter /undo
settle 'are gone; 2 messages stay'
keys Up
settle '^> /undo$'
keys C-c
settle '\^C'
settle '^> *$'
enter '/set n-predict -1'
settle 'n-predict is -1 from now on'
enter /clear
settle 'begins anew'
tmux send-keys C-l
settle '^> *$'

# Ctrl-C stops the answer, and the talk goes on.
enter 'Once there was a king'
settle '^[A-Z'\''a-z].* .* .* .* .* '
keys C-c
settle 'stopped; the answer so far stays'
settle '^> *$'
enter /undo
settle 'are gone; 0 messages stay'

# A paste is one part of a message, whatever is in it.
tmux resize-window -x 50 -y 20
yes 'a long line of text, pasted' | head -c 10000 >pasted
tmux load-buffer pasted
tmux paste-buffer -p
settle '\[paste 1: 10000 characters\]'
keys Enter
settle 'it is taken back'
settle '^> *$'
printf 'short paste' >pasted
tmux load-buffer pasted
tmux paste-buffer -p
settle '^> short paste$'
keys -l ' é'
settle '^> short paste é$'
keys BSpace BSpace
tmux resize-window -x 70 -y 24
settle '^> short paste$'
keys C-u
settle '^> *$'

enter '/set n-predict 12'
settle 'n-predict is 12 from now on'
enter /view
settle 'the next answer is shown'
enter 'Once'
settle '^ Parvin · '
keys q
settle '^> *$'
tmux resize-window -x 90 -y 30 # stty breaks words in narrow ones
keys C-d
sane 0
[ "$(stat -c %a state/parvin/chat_history)" = 600 ] || wrong 'others may read the history'

# The next talk has the history of this one.
enter "$chat"
settle '^> *$'
keys Up Up
settle '^> /view$'
keys C-c
settle '\^C'
keys C-d
sane 0
finish
