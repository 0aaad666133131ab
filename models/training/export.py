#!/usr/bin/env python3
"""Write a model of train.py as a GGUF v3 file of architecture `arcee`.

Needs NumPy only. Matrices are stored as F16 (or F32 with --type f32), vectors
always as F32. The output matrix is tied to the embedding, so it is not stored.
The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

Example:
  export.py data/model.npz data/tokenizer.json my-model-f16.gguf
"""
import argparse
import json
import os
import pathlib
import struct
import sys

import numpy as np

ARCHITECTURE = 'arcee'
ALIGNMENT = 32
NORM_EPSILON = 1e-5
ROPE_BASE = 10000.0

# Type numbers of GGUF's metadata values and of ggml's tensors.
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_F32, TENSOR_F16 = 0, 1
TOKEN_NORMAL, TOKEN_CONTROL = 1, 3

SCALAR_FORMATS = {UINT32: '<I', INT32: '<i', FLOAT32: '<f', BOOL: '<?'}
LAYER_TENSORS = ('attn_norm', 'ffn_norm', 'attn_q', 'attn_k', 'attn_v',
                 'attn_output', 'ffn_up', 'ffn_down')


def pack_string(text):
    """Return a string as GGUF stores it: length, then UTF-8 bytes."""
    data = text.encode('utf-8')
    return struct.pack('<Q', len(data)) + data


def pack_value(kind, value):
    """Return one metadata value; an array's is (element kind, elements)."""
    if kind == STRING:
        return pack_string(value)
    if kind == ARRAY:
        element_kind, elements = value
        packed = [pack_value(element_kind, e) for e in elements]
        head = struct.pack('<IQ', element_kind, len(elements))
        return head + b''.join(packed)
    return struct.pack(SCALAR_FORMATS[kind], value)


def pack_entry(key, kind, value):
    """Return one metadata entry: key, kind, value."""
    return pack_string(key) + struct.pack('<I', kind) + pack_value(kind, value)


def pad(data):
    """Return data filled up with zeros to a multiple of ALIGNMENT."""
    return data + b'\0' * (-len(data) % ALIGNMENT)


def pack_tensors(tensors, half):
    """Return (tensor infos, tensor data) of [(name, array), ...].

    An array [rows, columns] is listed with its dimensions reversed, as GGUF
    counts them from the contiguous one. With half, arrays of two dimensions
    are stored as F16.
    """
    infos = []
    blobs = []
    offset = 0
    for name, array in tensors:
        is_half = half and array.ndim == 2
        data = np.ascontiguousarray(array, '<f2' if is_half else '<f4')
        infos.append(
            pack_string(name) + struct.pack('<I', array.ndim)
            + struct.pack(f'<{array.ndim}Q', *reversed(array.shape))
            + struct.pack('<IQ', TENSOR_F16 if is_half else TENSOR_F32,
                          offset))
        blobs.append(pad(data.tobytes()))
        offset += len(blobs[-1])
    return b''.join(infos), b''.join(blobs)


def pack_gguf(metadata, tensors, half):
    """Return a whole file of [(key, kind, value), ...] and tensors."""
    infos, data = pack_tensors(tensors, half)
    head = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(metadata))
    head += b''.join(pack_entry(*entry) for entry in metadata)
    return pad(head + infos) + data


def describe_model(sizes, half, name, description):
    """Return the metadata of the model itself."""
    prefix = ARCHITECTURE + '.'
    return [
        ('general.architecture', STRING, ARCHITECTURE),
        ('general.name', STRING, name),
        ('general.license', STRING, 'cc0-1.0'),
        ('general.description', STRING, description),
        ('general.file_type', UINT32, 1 if half else 0),
        ('general.alignment', UINT32, ALIGNMENT),
        (prefix + 'vocab_size', UINT32, sizes['vocab']),
        (prefix + 'context_length', UINT32, sizes['context']),
        (prefix + 'embedding_length', UINT32, sizes['width']),
        (prefix + 'block_count', UINT32, sizes['layers']),
        (prefix + 'feed_forward_length', UINT32, sizes['ff']),
        (prefix + 'rope.dimension_count', UINT32,
         sizes['width'] // sizes['heads']),
        (prefix + 'rope.freq_base', FLOAT32, ROPE_BASE),
        (prefix + 'attention.head_count', UINT32, sizes['heads']),
        (prefix + 'attention.head_count_kv', UINT32, sizes['kv_heads']),
        (prefix + 'attention.layer_norm_rms_epsilon', FLOAT32, NORM_EPSILON),
    ]


def describe_tokenizer(tokenizer):
    """Return the metadata of the tokenizer; token 0 is <|endoftext|>."""
    vocab = tokenizer['vocab']
    kinds = [TOKEN_CONTROL] + [TOKEN_NORMAL] * (len(vocab) - 1)
    prefix = 'tokenizer.ggml.'
    return [
        (prefix + 'model', STRING, 'gpt2'),
        (prefix + 'pre', STRING, 'gpt-2'),
        (prefix + 'tokens', ARRAY, (STRING, vocab)),
        (prefix + 'token_type', ARRAY, (INT32, kinds)),
        (prefix + 'merges', ARRAY, (STRING, tokenizer['merges'])),
        (prefix + 'bos_token_id', UINT32, 0),
        (prefix + 'eos_token_id', UINT32, 0),
        (prefix + 'add_bos_token', BOOL, True),
    ]


def list_tensors(weights, n_layers):
    """Return [(GGUF name, array), ...] in the file's order.

    train.py names its weights as GGUF does, so the names are the same.
    """
    names = ['token_embd.weight', 'output_norm.weight']
    for layer in range(n_layers):
        names += [f'blk.{layer}.{name}.weight' for name in LAYER_TENSORS]
    return [(name, weights[name]) for name in names]


def write_atomically(path, data):
    """Write a file so that it is there whole or not at all."""
    unfinished = path.with_name(path.name + '.tmp')
    with open(unfinished, 'wb') as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def parse_args():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=pathlib.Path,
                        help='model.npz or checkpoint.npz of train.py')
    parser.add_argument('tokenizer', type=pathlib.Path,
                        help='tokenizer.json of prep.py')
    parser.add_argument('out', type=pathlib.Path, help='GGUF file to write')
    parser.add_argument('--type', choices=('f16', 'f32'), default='f16',
                        help='type of the matrices (default %(default)s)')
    parser.add_argument('--name', default='Parvin Fables 5M',
                        help='general.name (default %(default)s)')
    parser.add_argument(
        '--description', help='general.description',
        default='Squared-ReLU language model trained on public-domain '
        "fairy tales and children's classics")
    return parser.parse_args()


def main():
    """Read a model and its tokenizer, write the GGUF file."""
    args = parse_args()
    half = args.type == 'f16'
    with open(args.tokenizer, encoding='utf-8') as file:
        tokenizer = json.load(file)
    with np.load(args.model, allow_pickle=False) as weights:
        sizes = json.loads(str(weights['sizes']))
        tensors = list_tensors(weights, sizes['layers'])
    if len(tokenizer['vocab']) != sizes['vocab']:
        sys.exit(f'export.py: {args.tokenizer} has '
                 f'{len(tokenizer["vocab"])} tokens, the model '
                 f'{sizes["vocab"]}')
    metadata = describe_model(sizes, half, args.name, args.description)
    metadata += describe_tokenizer(tokenizer)
    data = pack_gguf(metadata, tensors, half)
    write_atomically(args.out, data)
    print(f'{args.out}: {len(data)} bytes, {len(tensors)} tensors')


if __name__ == '__main__':
    main()
