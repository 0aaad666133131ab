#!/bin/sh
# No command writes over what it reads, nor over what Parvin did not write; what cannot be written is found before any
# work. Each case runs in a folder whose files must be as they were.
# shellcheck disable=SC1091,SC2034,SC2094,SC2153 # lib.sh sets and reads these; one file for both is what is tested
. "$(dirname "$0")/lib.sh"

clusters=$SOURCE/models/fables-5m.clusters.gguf
cp "$MODEL" m.gguf
cp "$clusters" c.gguf
head -c 20000 "$SOURCE/models/tales.txt" >t.txt
gunzip -c "$SOURCE/tests/apps/window/scene.jsonl.gz" >s.jsonl
ln -s m.gguf link.gguf
ln m.gguf hard.gguf
mkdir folder
cp m.gguf x-00001-of-00002.gguf
cp m.gguf x-00002-of-00002.gguf
inputs='m.gguf c.gguf t.txt s.jsonl x-00001-of-00002.gguf x-00002-of-00002.gguf'
# shellcheck disable=SC2086
cksum $inputs >before

# unharmed CODE TEXT ARGUMENT...: it fails so, and the inputs are what they were.
unharmed() {
	expected=$1 text=$2
	shift 2
	parvin "$@"
	expect_code "$expected"
	expect_empty out
	expect_in err "$text"
	# shellcheck disable=SC2086
	cksum $inputs >after
	cmp -s before after || { wrong 'an input was changed' && exit 1; }
}

# An output that is an input, by its name, by another name, by a symbolic link and by a hard link; --force changes nothing.
for force in '' --force; do
	for out in m.gguf ./m.gguf "$PWD/folder/../m.gguf" link.gguf hard.gguf; do
		# shellcheck disable=SC2086
		{
			unharmed 2 'which is read' fit m.gguf --text t.txt -o $out $force
			unharmed 2 'which is read' fit $out --text t.txt -o m.gguf $force
			unharmed 2 'which is read' capture m.gguf --text t.txt -o $out $force
			unharmed 2 'which is read' explain m.gguf -c c.gguf --text t.txt -o $out $force
			unharmed 2 'which is read' explain m.gguf -c c.gguf --text t.txt --trace $out $force
			unharmed 2 'which is read' run m.gguf -p a --trace $out $force
			unharmed 2 'which is read' eval m.gguf --text t.txt --logits $out $force
		}
	done
	# shellcheck disable=SC2086
	{
		unharmed 2 'which is read' fit m.gguf --text t.txt -o t.txt $force
		unharmed 2 'which is read' fit m.gguf --capture c.gguf -o c.gguf $force
		unharmed 2 'which is read' capture m.gguf --text t.txt -o t.txt $force
		unharmed 2 'which is read' merge t.txt s.jsonl -o s.jsonl $force
		unharmed 2 'which is read' run m.gguf -f t.txt --trace t.txt $force
		unharmed 2 'which is read' run m.gguf -c c.gguf -p a --trace c.gguf $force
		unharmed 2 'which is read' explain m.gguf -c c.gguf --text t.txt -o c.gguf $force
		unharmed 2 'which is read' heatmap s.jsonl -c c.gguf -o s.jsonl $force
		unharmed 2 'which is read' fit x-00001-of-00002.gguf --text t.txt -o x-00002-of-00002.gguf $force
	}
done
last='fit --text - from the file it writes'
"$PARVIN" fit m.gguf --text - -o t.txt <t.txt >out 2>err
code=$?
expect_usage 'which is read'
last='eval --logits into standard output'
"$PARVIN" eval m.gguf --text t.txt --logits both >both 2>err
code=$?
expect_code 2
expect_in err 'is standard output too'
rm both
# The clusters that run finds by itself are read as well.
cp c.gguf m.clusters.gguf
unharmed 2 'which is read' run m.gguf -p a --trace m.clusters.gguf
cmp -s c.gguf m.clusters.gguf || wrong 'the clusters beside the model were changed'
rm m.clusters.gguf
unharmed 2 'are one file' conform --junit r --markdown ./r
unharmed 2 'are one file' explain m.gguf -c c.gguf --text t.txt -o r --trace r

# What Parvin did not write stays, unless --force is given.
printf 'precious\n' >mine
cp mine mine.png
cp mine explain.html
cp mine m.clusters.gguf
inputs="$inputs mine mine.png explain.html m.clusters.gguf"
# shellcheck disable=SC2086
cksum $inputs >before
for command in 'fit m.gguf --text t.txt -o mine' 'fit m.gguf --text t.txt' 'capture m.gguf --text t.txt -o mine' \
	'merge t.txt -o mine' 'run m.gguf -p a --dense --trace mine' 'eval m.gguf --text t.txt --logits mine' \
	'explain m.gguf -c c.gguf --text t.txt' 'explain m.gguf -c c.gguf --text t.txt -o mine' \
	'heatmap s.jsonl -o mine.png' 'conform --junit mine' 'conform --markdown mine'; do
	# shellcheck disable=SC2086
	unharmed 2 'give --force' $command
done

# What cannot be written: before any work, so that even a missing model is not looked for.
for command in 'fit no.gguf -o' 'capture no.gguf -o' 'merge no.capture -o' 'run no.gguf -p a --trace' \
	'eval no.gguf --text no.txt --logits' 'explain no.gguf -o' 'heatmap no.jsonl -o' 'conform --junit' 'conform --markdown'; do
	# shellcheck disable=SC2086
	{
		unharmed 1 "cannot write 'nowhere/a.png'" $command nowhere/a.png
		unharmed 1 "cannot write 'folder'" $command folder
		unharmed 1 "cannot write 't.txt/a.png'" $command t.txt/a.png
	}
done
unharmed 1 'is not a regular file' explain no.gguf -o /dev/null
unharmed 2 '.png or .svg' heatmap no.jsonl -o a.jpeg
unharmed 2 "there is no palette 'pink'" heatmap no.jsonl -o a.png --palette pink
unharmed 2 "there is no palette 'pink'" explain no.gguf -o a.html --palette pink
unharmed 2 "there is no palette 'pink'" run no.gguf -p a --palette pink
unharmed 2 "--trace-format takes 'jsonl' or 'perfetto'" run no.gguf -p a --trace a --trace-format xml
unharmed 2 "--view takes 'window' or 'term'" run no.gguf -p a --view screen

# Its own files are written again without a word: traces, pictures. With --force, a foreign file too.
need_device
parvin heatmap s.jsonl -o mine.png --force -q
expect_code 0
for out in mine.png a.png a.svg; do
	for _ in once again; do
		parvin heatmap s.jsonl -o $out -q
		expect_code 0
		expect_empty err
	done
done
for format in jsonl perfetto; do
	for _ in once again; do
		parvin run "$MODEL" -p a -n 1 --temp 0 --trace a.$format --trace-format $format -q
		expect_code 0
		expect_empty err
	done
done
for _ in once again; do
	parvin explain "$MODEL" -c c.gguf --text t.txt --tokens 100 -o a.html -q
	expect_code 0
	expect_empty err
	parvin capture "$MODEL" --text t.txt --tokens 200 --ctx 32 -o a.capture -q
	expect_code 0
	expect_empty err
	parvin fit "$MODEL" --text t.txt --tokens 500 -k 4 --rounds 0 --epochs 1 -o a.gguf -q
	expect_code 0
	expect_empty err
	parvin conform --filter rmsnorm --quick --variant plan --junit a.xml --markdown a.md -q
	expect_code 0
	expect_empty err
done
parvin heatmap s.jsonl -o x.png --layer 999
expect_usage 'there is no layer 999'
expect_no_file x.png
parvin heatmap "$MODEL" -c c.gguf --text t.txt -o x.png --layer 999
expect_usage 'there is no layer 999'
expect_no_file x.png
finish
