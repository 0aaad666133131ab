#!/bin/sh
# parvin tokenize: ids and pieces, from words, files and pipes, without a device.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"

# The ids that the bundled model's trainer gives, as in tests/format/test_tokenizer.c.
VK_DRIVER_FILES=/nonexistent
export VK_DRIVER_FILES
parvin tokenize "$MODEL" Once upon a time
expect_code 0
expect_empty err
printf '    3481  "Once"\n     648  " upon"\n     259  " a"\n     538  " time"\n' >expected
cmp -s out expected || wrong "other tokens than: $(cat expected)"
printf 'Once upon a time' >text
parvin tokenize "$MODEL" --text text
cmp -s out expected || wrong 'a file has other tokens than words'
code=0
"$PARVIN" tokenize "$MODEL" <text >out 2>err || code=$?
last='parvin tokenize < text'
expect_code 0
cmp -s out expected || wrong 'a pipe has other tokens than words'

# Nothing from a text or a vocabulary reaches a terminal raw.
parvin tokenize "$MODEL" "$(printf 'a\033[31m\303\251\n"')"
expect_code 0
expect_in out '"\x1b"' '"\xc3"' '"\xa9"' '"\""'
LC_ALL=C grep -q '[^ -~]' out && wrong 'not all of it is printable'

parvin tokenize "$MODEL" --json 'a<|endoftext|>'
expect_code 0
expect_in out '"n_vocab": ' '"piece": "a"' '"piece": "<"'
grep -q '"piece": "<|endoftext|>"' out && wrong 'a special token in a text is text'
parvin tokenize "$MODEL" --json --special 'a<|endoftext|>'
expect_in out '"n_tokens": 2,' '"piece": "<|endoftext|>"'
parvin tokenize "$MODEL" --json "$(printf '\303\251')"
expect_in out '"hex": "c3"'
parvin tokenize "$MODEL" ''
expect_code 0
expect_empty out

parvin tokenize
expect_usage 'MODEL.gguf'
parvin tokenize "$MODEL" a --text text
expect_usage 'not both'
parvin tokenize "$MODEL" --pre no-such a
expect_usage 'there is no pre-tokenizer "no-such"'
parvin tokenize missing.gguf a
expect_failure missing.gguf

# A file with a vocabulary alone.
vocab=$SHARED/golden/vocab/ggml-vocab-phi-3.gguf
if [ -e "$vocab" ]; then
	parvin tokenize "$vocab" --special --bos "$(printf '<|user|>\n Hi')"
	expect_code 0
	printf '       1  "<s>"\n   32010  "<|user|>"\n    6324  " Hi"\n' >expected
	cmp -s out expected || wrong "other tokens than: $(cat expected)"
fi
finish
