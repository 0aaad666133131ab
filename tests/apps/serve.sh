#!/bin/sh
# parvin serve over HTTP: answers against 'run', streams, errors, who may ask, what ends an answer, and its end.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"

# Before any device.
parvin serve "$MODEL" --chat-template chatlm
expect_usage "no template and no file 'chatlm'"
parvin serve "$MODEL" --port 70000
expect_usage '--port'
need_device

# serve ARGUMENT...: starts it on a free port; $url and $server say where.
serve() {
	"$PARVIN" serve "$MODEL" --port 0 "$@" >server.out 2>server.err &
	server=$!
	url=
	while [ -z "$url" ] && kill -0 "$server" 2>/dev/null; do
		sleep 0.05
		url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' server.err)
	done
	cp server.err err
	last="parvin serve $*"
}
# stop: the signal, and the exit code.
stop() {
	kill -TERM "$server"
	code=0
	wait "$server" || code=$?
	cp server.err err
	expect_code 0
	expect_empty server.out
}
# ask PATH JSON [CURL ARGUMENT...]: the answer in out, the status in $status.
ask() {
	path=$1 body=$2
	shift 2
	status=$(curl -s -o out -w '%{http_code}' "$@" -H 'Content-Type: application/json' -d "$body" "$url$path")
	last="$path $body"
}
get() {
	status=$(curl -s -o out -w '%{http_code}' "$url$1")
	last="GET $1"
}
expect_status() { [ "$status" = "$1" ] || wrong "status $status instead of $1: $(head -c 300 out)"; }
# The text of a stream in the file, its pieces joined.
streamed() { sed -n 's/^data: .*"\(content\|text\)":"\([^"]*\)".*/\2/p' "$1" | tr -d '\n'; }
prompt='"prompt":"Once upon a time","temperature":0'

serve
get /health
expect_status 200
expect_in out '"status":"ok"'
get /v1/models
expect_in out '"id":"fables-5m-f16.gguf"'
get /parvin/model
expect_status 200
expect_in out '"name":"fables-5m-f16.gguf"' '"n_layers":4' '"n_ff":1536' '"chat":false' '"clusters":null' '"modes":["dense"]'
get /
expect_status 200
expect_in out '<title>Parvin</title>' 'Content-Security-Policy'
if command -v chromium >/dev/null; then # web.sh looks at the page more closely
	timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --virtual-time-budget=5000 \
		--enable-logging=stderr --user-data-dir="$PWD/profile" --dump-dom "$url/" >dom 2>browser.log || wrong 'chromium failed'
	expect_in dom 'fables-5m-f16.gguf' '4 layers of 1,536 neurons' 'No clusters are loaded'
	grep -q CONSOLE browser.log && wrong "the page says: $(grep CONSOLE browser.log)"
	rm -rf profile dom browser.log
fi

# The likeliest tokens are what run gives, whole and as a stream, and again with what the session holds.
parvin run "$MODEL" --dense --temp 0 -n 16 -p 'Once upon a time'
head -n 1 out | sed 's/^Once upon a time//' >expected
for again in 1 2; do
	ask /v1/completions "{$prompt,\"max_tokens\":16,\"seed\":$again}"
	expect_status 200
	grep -qF "\"text\":\"$(cat expected)\"" out || wrong 'another text than run gives'
	expect_in out '"finish_reason":"length"' '"completion_tokens":16' '"object":"text_completion"'
done
ask /v1/completions "{$prompt,\"max_tokens\":16,\"stream\":true}" -N
[ "$(streamed out)" = "$(cat expected)" ] || wrong 'the stream has another text'
tail -n 2 out | grep -q '^data: \[DONE\]$' || wrong 'the stream has no end'
ask /v1/chat/completions '{"messages":[{"role":"user","content":"Once upon a time"}],"temperature":0,"max_tokens":8}'
expect_in out '"object":"chat.completion"' '"role":"assistant"'
ask /v1/chat/completions '{"messages":[{"role":"user","content":"Once upon a time"}],"temperature":0,"max_tokens":8,
	"stream":true,"stream_options":{"include_usage":true},"parvin":{"trace":true}}' -N
expect_in out 'chat.completion.chunk' '"finish_reason":"length"' '"completion_tokens":8' '"layers":[[-1,1536,' '"summary":{'
[ "$(grep -c '"pos":' out)" = 8 ] || wrong 'not a record for each token'

# What ends an answer, how tokens are chosen, and what is told of them.
ask /v1/completions "{$prompt,\"max_tokens\":24,\"stop\":[\"brother\",\"e e\"]}"
expect_in out '"finish_reason":"stop"'
! grep -q 'brother\|e e' out || wrong 'the stop text is in the answer'
ask /v1/completions "{$prompt,\"max_tokens\":24,\"stop\":\"brother\",\"stream\":true}" -N
! streamed out | grep -q 'brot' || wrong 'the beginning of the stop text was shown'
ask /v1/completions "{$prompt,\"max_tokens\":2,\"logprobs\":3}"
expect_in out '"token_logprobs":[-' '"top_logprobs":[{'
ask /v1/chat/completions '{"messages":[{"role":"user","content":"Once"}],"max_tokens":2,"logprobs":true,"top_logprobs":2}'
expect_in out '"logprobs":{"content":[{"token":"' '"bytes":['
ask /v1/completions "{\"prompt\":\"Once\",\"max_tokens\":4,\"n\":3,\"seed\":5}"
expect_in out '"index":2' '"completion_tokens":12'
cp out first
ask /v1/completions "{\"prompt\":\"Once\",\"max_tokens\":4,\"n\":3,\"seed\":5}"
sed 's/.*"choices"/"choices"/; s/"parvin".*//' first >a
sed 's/.*"choices"/"choices"/; s/"parvin".*//' out | cmp -s a - || wrong 'the same seed gives another answer'
ask /v1/completions "{$prompt,\"max_tokens\":3,\"logit_bias\":{\"300\":100}}"
cp out biased
ask /v1/completions "{$prompt,\"max_tokens\":3,\"logit_bias\":{\"300\":100},\"frequency_penalty\":2,\"presence_penalty\":2}"
expect_status 200
grep -o '"text":"[^"]*"' biased | grep -q . || wrong 'no text'

# A JSON object, by a model that has never seen one: what there is of it is right as far as it goes.
for seed in 1 2 3; do
	ask /v1/completions "{\"prompt\":\"A fox\",\"max_tokens\":60,\"seed\":$seed,\"response_format\":{\"type\":\"json_object\"}}"
	expect_status 200
	python3 - out <<-'END' || wrong "no JSON: $(head -c 400 out)"
		import json, sys
		choice = json.load(open(sys.argv[1]))["choices"][0]
		text = choice["text"].strip()
		assert text.startswith("{")
		if choice["finish_reason"] == "stop":
		    assert isinstance(json.loads(text), dict)
	END
done

# Errors have OpenAI's form.
ask /v1/completions '{"prompt":'
expect_status 400
expect_in out '"type":"invalid_request_error"' 'not JSON'
ask /v1/completions '{"prompt":"a","temperature":9}'
expect_in out '"param":"temperature"'
ask /v1/completions "{\"prompt\":\"$(seq 4000 | tr '\n' ' ')\"}"
expect_status 400
expect_in out '"code":"context_length_exceeded"'
ask /v1/completions '{"prompt":[99999999]}'
expect_in out 'there is no token 99999999'
ask /v1/completions '{"prompt":"a","parvin":{"mode":"masked"}}'
expect_in out 'has no clusters'
get /v1/completions
expect_status 405
get /nothing
expect_status 404
status=$(curl -s -o out -w '%{http_code}' -d '{"prompt":"a"}' "$url/v1/completions")
expect_status 415
head -c 2000000 /dev/zero | tr '\0' a >long
status=$(curl -s -o out -w '%{http_code}' -H 'Content-Type: application/json' -d @long "$url/v1/completions")
expect_status 413

# A web page that points a name of its own at this machine gets nothing.
for name in evil.example evil.example:80 '[::1' 127.0.0.1.evil.example ''; do
	status=$(curl -s -o out -w '%{http_code}' -H "Host: ${name:-:80}" "$url/v1/models")
	expect_status 403
done
for name in localhost LOCALHOST:80 127.0.0.1 '[::1]:80'; do
	status=$(curl -s -o out -w '%{http_code}' -H "Host: $name" "$url/v1/models")
	expect_status 200
done

# A client that leaves frees the slot; one that waits gets its answer; SIGTERM lets it end.
curl -s -o /dev/null --max-time 0.5 -H 'Content-Type: application/json' -d "{$prompt,\"max_tokens\":100000}" "$url/v1/completions"
ask /v1/completions "{$prompt,\"max_tokens\":1}" --max-time 20
expect_status 200
(ask /v1/completions "{$prompt,\"max_tokens\":60}" && echo "$status" >late) &
sleep 0.3
stop
wait
[ "$(cat late)" = 200 ] || wrong 'an answer under way was cut off'
expect_in err 'no further requests'

# Eight at once, over four slots: each text as if it were alone; what a slot holds is not fed again.
serve --parallel 4
i=0
for start in 'Once upon a time' 'A fox' 'The old king said' 'In the forest' 'A crow sat on' 'There was a' 'Two brothers' 'One day'; do
	i=$((i + 1))
	echo "{\"prompt\":\"$start\",\"temperature\":0,\"max_tokens\":$((12 + i))}" >"ask$i"
	ask /v1/completions "$(cat "ask$i")"
	grep -o '"text":"[^}]*' out >"alone$i"
done
pids=
for i in 1 2 3 4 5 6 7 8; do
	curl -s -H 'Content-Type: application/json' -d "@ask$i" "$url/v1/completions" >"beside$i" &
	pids="$pids $!"
done
# shellcheck disable=SC2086
wait $pids
for i in 1 2 3 4 5 6 7 8; do
	last="request $i of eight at once"
	grep -o '"text":"[^}]*' "beside$i" | cmp -s - "alone$i" || wrong "$(cat "alone$i") became $(head -c 400 "beside$i")"
done
get /metrics
expect_in out '# TYPE parvin_answer_tokens_total counter' 'parvin_answers_active 0' 'parvin_slots 4'
expect_number 'n > 0' n "$(sed -n 's/^parvin_reused_tokens_total //p' out)"
expect_number 's < t' s "$(sed -n 's/^parvin_steps_total //p' out)" t "$(sed -n 's/^parvin_answer_tokens_total //p' out)"
ask /tokenize '{"content":"Once upon"}'
tokens=$(cat out)
expect_in out '{"tokens":['
ask /detokenize "$tokens"
expect_in out '{"content":"Once upon"}'
ask /detokenize '{"tokens":[-1]}'
expect_status 400
get /parvin/model
expect_in out '"n_layers":4' '"clusters":null' '"modes":["dense"]'
# A client that reads nothing stops nobody.
curl -sN --limit-rate 1 -o slow -H 'Content-Type: application/json' -d "{$prompt,\"max_tokens\":400,\"stream\":true}" \
	"$url/v1/completions" &
slow=$!
ask /v1/completions "{$prompt,\"max_tokens\":2}" --max-time 30
expect_status 200
kill $slow
wait $slow 2>/dev/null
stop

# One slot and no queue: whoever comes second is told so. What is not polite is refused.
serve --parallel 1 --queue 0 --timeout 2
curl -s -o /dev/null -H 'Content-Type: application/json' -d "{$prompt,\"max_tokens\":500}" "$url/v1/completions" &
long=$!
sleep 0.5
ask /v1/completions "{$prompt,\"max_tokens\":1}" -D headers
expect_status 503
expect_in out '"type":"server_error"' 'the queue is full'
expect_in headers 'Retry-After'
kill $long
wait $long 2>/dev/null
for try in $(seq 100); do
	get /metrics
	grep -q '^parvin_answers_active 0' out && break
	sleep 0.1
done
last="a client that left (looked $try times)"
expect_in out 'parvin_answers_active 0' 'parvin_requests_left_total 1'
last='hostile requests'
python3 "$SOURCE/tests/apps/serve_hostile.py" "${url##*:}" >said 2>&1 || wrong "$(tail -n 3 said)"
stop

# Clusters: both modes, and the trace names clusters. A key keeps others out. Another name.
serve -c "$SOURCE/models/fables-5m.clusters.gguf" --api-key secret --name tales
get /v1/models
expect_status 401
expect_in out '"code":"invalid_api_key"'
get /parvin/model
expect_status 401
get /
expect_status 200
get /health
expect_status 200
key='Authorization: Bearer secret'
ask /v1/completions "{$prompt,\"max_tokens\":8}" -H 'Authorization: Bearer secre'
expect_status 401
curl -s -o out -H "$key" "$url/parvin/model"
expect_in out '"name":"tales"' '"k":256' '"fingerprint":"4d2675a046274df7"' '"modes":["dense","masked"]'
ask /v1/completions "{$prompt,\"max_tokens\":8}" -H "$key"
expect_status 200
expect_in out '"model":"tales"'
expect_number 'd > 0 && d < 0.9' d "$(sed -n 's/.*"density":\([0-9.]*\).*/\1/p' out)"
ask /v1/completions "{$prompt,\"max_tokens\":16,\"parvin\":{\"mode\":\"dense\"}}" -H "$key"
grep -qF "\"text\":\"$(cat expected)\"" out || wrong 'dense gives another text than without clusters'
ask /v1/completions "{$prompt,\"max_tokens\":4,\"stream\":true,\"parvin\":{\"mode\":\"masked\",\"trace\":true}}" -N -H "$key"
grep -q '"layers":\[\[[0-9]*,[0-9]*,' out || wrong 'no clusters in the trace'
status=$(curl -s -o out -w '%{http_code}' -H "$key" "$url/parvin/model")
expect_status 200
expect_in out '"modes":["dense","masked"]' '"words":[[["' '"k":'
stop
finish
