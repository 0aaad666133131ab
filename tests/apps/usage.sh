#!/bin/sh
# The command line without a device: help, wrong usage, files that are no models, output that cannot be written.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"

parvin
expect_code 2
expect_in err Commands:
parvin --help
expect_code 0
for command in devices info tokenize fit run eval bench conform demo; do
	expect_code 0
	expect_in out "  $command "
done
for command in devices info tokenize fit run eval bench conform demo; do
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
expect_failure 'is not a capture file'
parvin fit "$MODEL" --capture a --text b
expect_usage 'leave those out'
parvin fit "$MODEL" --density 0.2 --max-ppl-rise 1%
expect_usage 'one or the other'
parvin fit "$MODEL" --capture a --max-ppl-rise 1%
expect_usage 'give its --text too'
for k in many 0 -1 autos; do
	parvin fit "$MODEL" -k $k
	expect_usage '--n-clusters takes auto or a whole number'
done
for share in 1%% % 101% 0.05% 1.1 20percent; do
	parvin fit "$MODEL" --density $share
	expect_usage '--density takes a share'
done

parvin fit "$MODEL" --clusters 64
expect_usage 'the number of clusters is -k K or --n-clusters K'
parvin devices --fit "$MODEL"
expect_usage 'parvin devices --place MODEL'
parvin eval "$MODEL" --sweep K=16
expect_usage 'parvin-lab sweep'
parvin bench --learn
expect_usage 'parvin-lab bench-learn'
parvin fit "$MODEL" --method k-modes
expect_usage 'parvin-lab fit --method NAME'
parvin run "$MODEL" -ngl 99
expect_usage "no option '-ngl'" '--devices A,B'
parvin run -m "$MODEL"
expect_usage "no option '-m'" 'parvin run MODEL.gguf'
parvin run "$MODEL" --cluster-file x
expect_usage 'the cluster file is -c FILE'
parvin pull llama
expect_usage "no command 'pull'" 'parvin run MODEL.gguf'

# The library names what is wrong, the command what to type.
parvin merge "$MODEL" -o all.capture
expect_failure 'is not a capture file' "hint: 'parvin capture MODEL.gguf' makes one"
parvin info "$MODEL" -q
expect_code 0
expect_empty err
parvin run "$MODEL" -c "$MODEL" -p a
expect_failure 'not a cluster file' "hint: 'parvin fit MODEL.gguf' makes one"
parvin run "$SOURCE/models/fables-5m.clusters.gguf" -p a
expect_code 1
expect_in err 'this is a cluster file, not a model' 'hint: a cluster file is given behind the model, with -c FILE'
parvin devices --plan warp=9
expect_in err 'no such key' "hint: 'parvin devices --json' shows the keys of --plan"
parvin run "$MODEL" -p a --ffn-act tanh
expect_in err 'choose relu' 'hint: --ffn-act NAME: activation'
parvin tokenize "$MODEL" --pre latin a
expect_in err 'no pre-tokenizer' 'hint: --pre NAME: '

# Every option of the tables is in the man page and in each completion.
for kind in man bash zsh fish; do
	"$PARVIN" --generate $kind >documents.$kind || wrong "--generate $kind failed"
done
for command in $("$PARVIN" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
	"$PARVIN" "$command" --help | sed -n "/^Options:/,/^Examples:/s/^  [- ][a-z ][, ] --\\([a-z0-9-]*\\).*/$command \\1/p"
done | sort >names.help
sed 's/\\-/-/g' documents.man | awk '/^\.SS/ { command = $3 } /^\.B .*--/ { sub(/^.*--/, ""); sub(/ .*/, ""); print command, $0 }' |
	sort >names.man
awk '/options=.--|options=.-/ { sub(/\)/, "", $1); for (i = 2; i <= NF; i++) if (sub(/^(options=.)?--/, "", $i)) print $1, $i }' documents.bash |
	sort >names.bash
awk '/_arguments/ { command = $1; sub(/\)/, "", command) } /^\t\t\t.--/ { sub(/^\t\t\t.--/, ""); sub(/\[.*/, ""); print command, $0 }' documents.zsh |
	sort >names.zsh
sed -n "s/.*from \\([a-z]*\\)' -l \\([a-z0-9-]*\\) .*/\\1 \\2/p" documents.fish | sort >names.fish
[ "$(wc -l <names.help)" -ge 100 ] || wrong 'the help pages list too few options'
for kind in man bash zsh fish; do
	diff names.help names.$kind >difference || wrong "options of the help and of $kind differ: $(head -n 3 difference)"
done
parvin --generate powershell
expect_usage 'takes man, bash, zsh or fish'

# Closed standard streams: nothing lands in a file that is opened later.
"$PARVIN" --version <&- >&- 2>&- || wrong '--version fails with its streams closed'
"$PARVIN" info "$MODEL" 2>&- >info.txt || wrong 'info with stderr closed'

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
expect_usage 'go with --place MODEL'
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
parvin bench "$MODEL" --format yaml
expect_usage 'choose table, md or csv'
parvin bench --format md
expect_usage 'parvin bench MODEL.gguf --format md'

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
