#!/bin/sh
# What a run says of itself: the trace and the script of docs/trace.md that reads it, oracle statistics, the Perfetto form,
# pictures of both, what is refused, and the speed with a view.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
need_device
clusters=$SOURCE/models/fables-5m.clusters.gguf
kinds='layers waterfall neurons tokens'
unset DISPLAY WAYLAND_DISPLAY

generate() { parvin run "$MODEL" -c "$clusters" -p 'Once upon a time' -n 24 --temp 0 "$@"; }
generate --trace run.jsonl
expect_code 0
cp out plain
[ "$(wc -l <run.jsonl)" = 24 ] || wrong 'a header and 23 tokens should be there'

# The script in docs/trace.md runs as it stands there and counts every layer of every token.
awk '/^```python/ { on = 1; next } /^```/ { on = 0 } on' "$SOURCE/docs/trace.md" >read.py
[ "$(wc -l <read.py)" = 10 ] || wrong 'the script is not of ten lines'
if command -v python3 >/dev/null; then
	last='the script of docs/trace.md'
	python3 read.py run.jsonl >out 2>err || wrong 'the script fails'
	expect_empty err
	[ "$(grep -cE '^layer [0-3], cluster [0-9]+: [0-9]+ tokens$' out)" = 10 ] || wrong 'it should name ten clusters'
	python3 - run.jsonl >out 2>err <<'PYTHON' || wrong 'the trace is not as specified'
import json, sys
lines = open(sys.argv[1], encoding="utf-8").read().splitlines()
head, tokens = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]
assert head["format"] == "parvin-trace" and head["version"] == 1 and head["n_layers"] == 4
assert [token["i"] for token in tokens] == sorted({token["i"] for token in tokens})
for token in tokens:
    assert len(token["cluster"]) == len(token["n_neurons"]) == len(token["margin"]) == 4
    assert all(0 <= c < head["n_clusters"] for c in token["cluster"])
    assert abs(token["density"] - sum(token["n_neurons"]) / 4 / head["d_ffn"]) < 1e-5 and token["ms"] > 0
PYTHON
fi

# Without clusters they say which neurons fire: of this ReLU model those that are not zero.
parvin run "$MODEL" --dense -p 'Once upon a time' -n 9 --temp 0 --oracle --trace dense.jsonl
expect_code 0
[ "$(grep -c '"cluster":\[null.*"n_active":\[[1-9].*"active":\["' dense.jsonl)" = 8 ] || wrong 'a dense run without its active neurons'
parvin heatmap dense.jsonl --kind waterfall -o dense.png
expect_code 0

# With oracle statistics the run is the same, and the trace says what the masks missed.
generate --trace oracle.jsonl --oracle
expect_code 0
cmp -s out plain || wrong 'the text is another with --oracle'
clusters_of() { sed 's/.*"cluster":\(\[[^]]*\]\).*/\1/' "$1" | tail -n +2; }
[ "$(clusters_of run.jsonl)" = "$(clusters_of oracle.jsonl)" ] || wrong 'the clusters are others with --oracle'
[ "$(grep -c '"energy_kept":.*"n_active":.*"n_hit":.*"active":\["' oracle.jsonl)" = 23 ] || wrong 'oracle statistics are missing'
if command -v python3 >/dev/null; then
	last='oracle.jsonl'
	python3 - oracle.jsonl >out 2>err <<'PYTHON' || wrong 'the oracle statistics do not agree with each other'
import json, sys
lines = open(sys.argv[1], encoding="utf-8").read().splitlines()
for token in map(json.loads, lines[1:]):
    for layer in range(4):
        active = bin(int.from_bytes(bytes.fromhex(token["active"][layer]), "little")).count("1")
        assert active == token["n_active"][layer] >= token["n_hit"][layer] <= token["n_neurons"][layer]
        assert 0 <= token["energy_kept"][layer] <= 1
PYTHON
fi
parvin run "$MODEL" -c "$clusters" -p a --oracle
expect_usage --trace --view
parvin run "$MODEL" -c "$clusters" -p a --oracle --trace a.jsonl --prefill-dense
expect_usage --prefill-dense

# Perfetto's form is one JSON array of events.
generate --trace run.json --trace-format perfetto
expect_code 0
if command -v python3 >/dev/null; then
	last='run.json'
	python3 - run.json >out 2>err <<'PYTHON' || wrong 'this is no Perfetto trace'
import json, sys
events = json.load(open(sys.argv[1], encoding="utf-8"))
slices = [e for e in events if e["ph"] == "X"]
tokens = [e for e in slices if "density" in e.get("args", {})]
assert len(tokens) == 23, len(tokens)
assert all(e["ts"] >= 0 and e["dur"] >= 0 for e in slices)
names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
dispatches = [e for e in slices if names[e["tid"]].startswith("dispatches")]
per_token = len(dispatches) / len(tokens)
assert per_token == int(per_token) and (per_token == 0 or per_token >= 8 * 4), per_token
assert not dispatches or {"matvec", "rope_kv", "ffn_up", "ffn_down"} <= {e["name"].split(".")[0] for e in dispatches}
if dispatches:
    first = dispatches[: int(per_token)]
    assert first[0]["ts"] >= tokens[0]["ts"] and sum(e["dur"] for e in first) <= tokens[0]["dur"] + 1
for before, after in zip(tokens, tokens[1:]):
    assert before["ts"] + before["dur"] <= after["ts"] + 0.01
PYTHON
fi
parvin heatmap run.json -o no.png
expect_failure run.json:1:
expect_no_file no.png

# Pictures: every kind, twice the same, PNG and SVG.
for kind in $kinds; do
	for form in png svg; do
		parvin heatmap oracle.jsonl -c "$clusters" --kind "$kind" -o "a.$form"
		expect_code 0
		parvin heatmap oracle.jsonl -c "$clusters" --kind "$kind" -o "b.$form"
		cmp -s "a.$form" "b.$form" || wrong "made twice, the $form differs"
	done
	case $(head -c 8 a.png | od -An -tx1 | tr -d ' \n') in 89504e470d0a1a0a) ;; *) wrong 'this is no PNG' ;; esac
	grep -q '</svg>' a.svg || wrong 'this is no SVG'
done
parvin heatmap run.jsonl --kind neurons -o no.png
expect_usage 'with -c'
parvin heatmap run.jsonl --kind pie -o no.png
expect_usage layers waterfall neurons tokens
parvin heatmap run.jsonl -o no.jpeg
expect_usage '.png or .svg'
parvin heatmap run.jsonl -o nowhere/no.png
expect_failure nowhere/no.png

# The documentation's pictures can be made anew, and those in the repository are small.
if command -v Xvfb >/dev/null && command -v xdotool >/dev/null && command -v convert >/dev/null &&
	! "$PARVIN" view run.jsonl --view window 2>&1 | grep -q 'built without the window'; then
	last=docs/make-pictures.sh
	TOKENS=600 "$SOURCE/docs/make-pictures.sh" pictures >out 2>err || wrong 'it fails'
	for kind in $kinds window; do
		[ -s "pictures/$kind.png" ] || wrong "there is no $kind.png"
		grep -q "pictures/$kind.png" "$SOURCE/docs/clusters.md" || wrong "docs/clusters.md does not show $kind.png"
	done
fi
[ -z "$(find "$SOURCE/docs/pictures" -size +300k)" ] || wrong 'a picture is larger than 300 KB'

# A trace that was cut or tampered with: the line is named.
head -c "$(($(wc -c <run.jsonl) - 20))" run.jsonl >cut.jsonl
parvin heatmap cut.jsonl -o no.png
expect_failure cut.jsonl:24:
sed '7s/"n_neurons":\[[0-9]*/"n_neurons":[99999/' run.jsonl >hostile.jsonl
parvin heatmap hostile.jsonl -o no.png
expect_failure hostile.jsonl:7: n_neurons
parvin view hostile.jsonl --view term
expect_failure 'needs a terminal'
expect_no_file no.png

# Views where there is no place for one.
parvin run "$MODEL" -c "$clusters" -p a -n 2 --view term
expect_failure 'needs a terminal' 'parvin heatmap'
parvin bench "$MODEL" -c "$clusters" --view window --reps 1
expect_failure '--view term'
parvin bench --view window
expect_usage 'needs a model'
parvin run "$MODEL" -c "$clusters" -p a --view hologram
expect_usage window term
finish
