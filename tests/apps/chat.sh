#!/bin/sh
# parvin chat with plain lines: templates, answers against 'run', what is fed and what is kept, commands, the context's end,
# conversations in files, thoughts.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
clusters=$SOURCE/models/fables-5m.clusters.gguf
XDG_STATE_HOME=$work/state
export XDG_STATE_HOME

# chat ARGUMENT...: what comes in, a line a message; plain lines, the likeliest tokens.
chat() {
	code=0
	"$PARVIN" chat "$MODEL" --chat-template none --temp 0 "$@" >out 2>err || code=$?
	last="parvin chat $*"
}
# Before any device: the model has no template, and names are told apart from files.
parvin chat "$MODEL" </dev/null
expect_failure 'has no chat template' 'hint: --chat-template NAME|FILE.json'
parvin chat "$MODEL" --chat-template chatlm </dev/null
expect_usage "no template and no file 'chatlm'" 'llama-3'
echo '{"user": 1}' >wrong.json
parvin chat "$MODEL" --chat-template wrong.json </dev/null
expect_failure '"system" must be two texts'
parvin chat "$MODEL" --chat-template none --think loud </dev/null
expect_usage '--think takes dim, show or hide'
need_device

# The first answer is what 'run' gives for the same text; the second question is fed alone.
printf 'Once upon a time\n/stats\nAnd then\n/stats\n/undo\nAnd then\n/retry\n/stats\n' | chat -n 24
expect_code 0
cp out talk
parvin run "$MODEL" --dense --temp 0 -n 24 -p 'Once upon a time
'
expect_number 'n > 20' n "$(wc -c <out)"
head -c "$(wc -c <out)" talk >first
cmp -s first out || wrong 'the first answer is not what run gives'
last='the talk'
sed -n 's/^prompt  *\([0-9]*\) tokens fed .* \([0-9]*\) reused$/\1 \2/p' talk >fed
expect_number 'new < 12 && kept == 0' new "$(sed -n '1s/ .*//p' fed)" kept "$(sed -n '1s/.* //p' fed)"
expect_number 'new < 12 && kept > 25' new "$(sed -n '2s/ .*//p' fed)" kept "$(sed -n '2s/.* //p' fed)"
expect_number 'new == 1 && kept > 25' new "$(sed -n '3s/ .*//p' fed)" kept "$(sed -n '3s/.* //p' fed)"
# Undone and asked again, and once more: the same answer each time.
awk '/^template/ { n++ } n == 1' talk | sed -n '3,/^context/p' | sed '$d' >second
awk '/^template/ { n++ } n == 2' talk | sed -n '3,/^context/p' | sed '$d' >thrice
[ -s second ] || wrong 'there is no second answer'
cat second second | cmp -s - thrice || wrong 'undone and asked again, the answer is another'

# Masked and dense, in one conversation.
printf 'Once upon a time\n/stats\n/dense\nAnd then\n/stats\n/masked\nAnd then\n/stats\n' | chat -n 16 -c "$clusters"
expect_code 0
expect_in out "neurons   the clusters'" 'neurons   all'
expect_in err 'every neuron is computed from now on' "only the clusters' neurons"
sed -n 's/.*mean density so far //p' out >densities
expect_number 'a < 0.9 && b > a && c < b' a "$(sed -n 1p densities)" b "$(sed -n 2p densities)" c "$(sed -n 3p densities)"
echo /masked | chat
expect_in err 'there are no clusters'

# A message of several lines, a message with a slash, commands that are wrong; the conversation in a file.
printf 'a \\\nb\n"""\nc\n\nd"""\n//e\n/save talk.json\n/hlp\n/undo now\n/save\n/set temp 200\n/set colour 1\n/set temp 0.5\n' | chat -n 2
expect_code 0
expect_in talk.json '"content": "a \nb"' '"content": "c\n\nd"' '"content": "/e"'
expect_in err 'did you mean /help' '/undo takes nothing' '/save takes FILE' 'temp takes 0 to 100' '/set takes one of' 'temp is 0.5'
printf '/load talk.json\n/system Be brief\n/save again.json\n/system -\n/save talk.json\n/clear\n/undo\n' | chat -n 2
expect_in err 'loaded 6 messages' 'saved 7 messages' 'there is no answer yet'
sed 1,2d again.json | sed '/"role": "system"/,/"content"/d' | tr -d ' \n' >a
grep -c user again.json | grep -q 3 || wrong 'the conversation was not loaded'
echo 'of somebody' >mine.txt
printf '/save mine.txt\n/load mine.txt\n/load nothing.json\n/load -\n/save no/where.json\nOnce\n' | chat -n 2
expect_code 0
expect_in err 'mine.txt' "cannot open 'nothing.json'" 'no/where.json' 'takes a file'
grep -q somebody mine.txt || wrong 'a file of somebody else was written over'
for text in '[]' '{"messages": [{"role": "user", "content": "a"}]}' '{"messages": [{"role": "assistant", "content": "a"}]}' \
	'{"messages": [{"role": "user", "content": 3}, {"role": "assistant", "content": "a"}]}'; do
	echo "$text" >bad.json
	echo '/load bad.json' | chat
	expect_code 0
	expect_in err 'holds no conversation'
done

# The context's end: the oldest turns leave and the system prompt stays; what never fits is taken back.
{
	for i in 1 2 3 4 5 6; do echo "This is the tale number $i of the old fox and the crow"; done
	seq 200 | tr '\n' ' '
	printf '\nOnce\n/save end.json\n'
} | chat -n 16 --ctx 100 --system 'Be brief'
expect_code 0
expect_in err 'the context of 100 tokens is full: the oldest' 'the context holds 100: it is taken back'
expect_in end.json 'Be brief' '"Once"' 'tale number 6'
! grep -q 'number 1' end.json || wrong 'the oldest turn has not left'
echo Once | chat --ctx 20
expect_code 0

# Another template, a file's, and its stop text.
printf '{"system":["",""],"user":["",""],"assistant":["",""],"generation":"","stop":["e"]}' >stop.json
echo 'Once upon a time there was' | chat --chat-template stop.json -n 50
expect_code 0
! grep -q e out || wrong 'the stop text is in the answer'
printf 'Hello<|im_end|>\n/stats\n' | chat --chat-template chatml -n 4
expect_in out 'template  chatml'

# Thoughts, whole and in pieces of one, two, ... bytes.
thoughts() { printf '%b' "$3" | "$THOUGHTS" "$1" "$2" "${4:-}"; }
for step in 1 2 3 5 100; do
	last="thoughts in pieces of $step"
	[ "$(thoughts show $step '<think>a<b</think>\n\nc')" = "$(printf '<think>a<b</think>\n\nc')" ] || wrong 'shown'
	[ "$(thoughts hide $step ' <think>a<<b</</think>\n\nc<think>d')" = ' c<think>d' ] || wrong 'hidden'
	[ "$(thoughts dim $step '<think>a</think>c')" = "$(printf '\033[2m<think>a</think>\033[22mc')" ] || wrong 'dimmed'
	[ "$(thoughts hide $step 'a</think>\nc' within)" = c ] || wrong 'hidden from the start'
	[ "$(thoughts hide $step '< think>a')" = '< think>a' ] || wrong 'a mark that is none'
	[ "$(thoughts hide $step '<thin')" = '<thin' ] || wrong 'no mark'
	[ "$(thoughts hide $step '<a<think>b')" = '<a<think>b' ] || wrong 'a mark within the answer'
done
finish
