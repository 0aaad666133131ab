#!/usr/bin/env python3
"""Train a small squared-ReLU language model on the tokens of prep.py.

The model is a decoder with RMSNorm, rotary positions on adjacent pairs,
grouped-query attention, an ungated feed-forward network with squared ReLU,
and an output matrix tied to the embedding: GGUF's architecture `arcee`. The
default sizes are those of Fables 5M (4,983,040 parameters).

Matrices are trained by Muon (momentum made nearly orthogonal by five
Newton-Schulz steps, https://kellerjordan.github.io/posts/muon/), the
embedding and the norms by AdamW. --l1 adds a pressure on the feed-forward
activations that grows from 0 to its full weight during the run: it makes
more of them exactly zero.

The run's length is --steps, or --seconds of wall clock where no steps are
given; the learning rate warms up for 60 steps and falls to 2 % over the last
60 % of the run.

Written to DATA: checkpoint.npz every 200 steps, model.npz at the end (weights
as float32 NumPy arrays and the sizes, for export.py), train.log.

Example:
  train.py data --width 512 --layers 8 --ff 3072 --steps 20000 --device cuda
"""
import argparse
import dataclasses
import json
import math
import os
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

NORM_EPSILON = 1e-5
ROPE_BASE = 10000.0
ADAM_RATE = 3e-3
MUON_RATE = 0.02
MUON_MOMENTUM = 0.95
MUON_DECAY = 0.05
WARM_UP_STEPS = 60
DECAY_SHARE = 0.6
LAST_RATE = 0.02
TEST_WINDOWS = 64
TEST_BATCH = 8
LOG_EVERY = 20
TEST_EVERY = 200


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The shape of a model; export.py reads the same names."""

    vocab: int = 4096
    width: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    ff: int = 1536
    context: int = 256

    @property
    def head_dim(self):
        """Width of one attention head."""
        return self.width // self.heads


class RMSNorm(nn.Module):
    """x / rms(x) * weight."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        mean_square = (x * x).mean(-1, keepdim=True)
        return x * torch.rsqrt(mean_square + NORM_EPSILON) * self.weight


def rope_table(sizes):
    """Return cosines and sines, each [context, head_dim / 2]."""
    evens = torch.arange(0, sizes.head_dim, 2).float()
    frequencies = 1.0 / (ROPE_BASE ** (evens / sizes.head_dim))
    angles = torch.outer(torch.arange(sizes.context).float(), frequencies)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotate adjacent pairs of x [batch, head, time, head_dim]."""
    time_steps = x.shape[2]
    c, s = cos[:time_steps], sin[:time_steps]
    x0, x1 = x[..., 0::2], x[..., 1::2]
    return torch.stack((x0 * c - x1 * s, x0 * s + x1 * c), -1).flatten(-2)


class Block(nn.Module):
    """One layer: attention, then the squared-ReLU feed-forward network."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes
        kv_width = sizes.head_dim * sizes.kv_heads
        self.attn_norm = RMSNorm(sizes.width)
        self.ffn_norm = RMSNorm(sizes.width)
        self.attn_q = nn.Linear(sizes.width, sizes.width, bias=False)
        self.attn_k = nn.Linear(sizes.width, kv_width, bias=False)
        self.attn_v = nn.Linear(sizes.width, kv_width, bias=False)
        self.attn_output = nn.Linear(sizes.width, sizes.width, bias=False)
        self.ffn_up = nn.Linear(sizes.width, sizes.ff, bias=False)
        self.ffn_down = nn.Linear(sizes.ff, sizes.width, bias=False)
        self.active = None  # the last ReLU's output, for --l1 and the log
        for matrix in (self.attn_output, self.ffn_down):
            nn.init.zeros_(matrix.weight)
        for matrix in (self.attn_q, self.attn_k, self.attn_v, self.ffn_up):
            nn.init.normal_(matrix.weight, std=sizes.width ** -0.5 * 0.8)

    def attend(self, x, mask, cos, sin):
        """Return causal self-attention of x [batch, time, width]."""
        batch, steps, _ = x.shape
        sizes = self.sizes

        def split(y, heads):
            y = y.view(batch, steps, heads, sizes.head_dim)
            return y.transpose(1, 2)

        q = rotate(split(self.attn_q(x), sizes.heads), cos, sin)
        k = rotate(split(self.attn_k(x), sizes.kv_heads), cos, sin)
        v = split(self.attn_v(x), sizes.kv_heads)
        k = k.repeat_interleave(sizes.heads // sizes.kv_heads, 1)
        v = v.repeat_interleave(sizes.heads // sizes.kv_heads, 1)
        scores = (q @ k.transpose(-1, -2)) * sizes.head_dim ** -0.5 + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2)
        return self.attn_output(mixed.reshape(batch, steps, sizes.width))

    def forward(self, x, mask, cos, sin):
        x = x + self.attend(self.attn_norm(x), mask, cos, sin)
        active = functional.relu(self.ffn_up(self.ffn_norm(x)))
        self.active = active
        return x + self.ffn_down(active * active)


class LanguageModel(nn.Module):
    """Token ids [batch, time] to logits [batch, time, vocab]."""

    def __init__(self, sizes):
        super().__init__()
        self.token_embd = nn.Embedding(sizes.vocab, sizes.width)
        nn.init.normal_(self.token_embd.weight, std=0.04)
        self.blk = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.output_norm = RMSNorm(sizes.width)
        cos, sin = rope_table(sizes)
        self.register_buffer('cos', cos, persistent=False)
        self.register_buffer('sin', sin, persistent=False)

    def forward(self, ids):
        steps = ids.shape[1]
        mask = torch.full((steps, steps), -1e9, device=ids.device).triu(1)
        x = self.token_embd(ids)
        for block in self.blk:
            x = block(x, mask, self.cos, self.sin)
        return functional.linear(self.output_norm(x), self.token_embd.weight)


def orthogonalise(matrix):
    """Return a matrix near the orthogonal one nearest to the given one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Optimizer:
    """Muon for the matrices, AdamW for the embedding and the norms."""

    def __init__(self, model):
        self.matrices = []
        self.others = []
        for name, parameter in model.named_parameters():
            is_matrix = parameter.ndim == 2 and not name.startswith('token_')
            (self.matrices if is_matrix else self.others).append(parameter)
        self.momenta = [torch.zeros_like(p) for p in self.matrices]
        self.adam = torch.optim.AdamW(self.others, lr=ADAM_RATE,
                                      betas=(0.9, 0.95), weight_decay=0.0)

    def step(self, rate):
        """Apply the gradients; rate is 1 at the schedule's height."""
        torch.nn.utils.clip_grad_norm_(self.others, 1.0)
        for group in self.adam.param_groups:
            group['lr'] = ADAM_RATE * rate
        self.adam.step()
        with torch.no_grad():
            for parameter, momentum in zip(self.matrices, self.momenta):
                self.step_matrix(parameter, momentum, MUON_RATE * rate)

    @staticmethod
    def step_matrix(parameter, momentum, rate):
        """One step of Muon with Nesterov momentum."""
        momentum.mul_(MUON_MOMENTUM).add_(parameter.grad)
        update = parameter.grad.add(momentum, alpha=MUON_MOMENTUM)
        rows, columns = parameter.shape
        parameter.mul_(1 - rate * MUON_DECAY)
        parameter.add_(orthogonalise(update),
                       alpha=-rate * max(1, rows / columns) ** 0.5)


class Batches:
    """Windows in random order, at a new offset each time round the data."""

    def __init__(self, tokens, context, batch):
        self.tokens, self.context, self.batch = tokens, context, batch
        self.n_windows = (len(tokens) - 1) // context
        if self.n_windows < max(batch, 2):
            sys.exit('train.py: too few tokens for one batch')
        self.random = torch.Generator().manual_seed(1)
        self.order, self.offset, self.next = None, 0, 0

    def draw(self):
        """Return (ids, ids one later), each [batch, context]."""
        if self.order is None or self.next + self.batch > self.n_windows:
            self.order = torch.randperm(self.n_windows, generator=self.random)
            self.offset = int(torch.randint(0, self.context, (1,),
                                            generator=self.random))
            self.next = 0
        chosen = self.order[self.next:self.next + self.batch]
        self.next += self.batch
        starts = chosen * self.context + self.offset
        starts = starts.clamp(max=len(self.tokens) - self.context - 2)
        return take_windows(self.tokens, starts.tolist(), self.context)


def take_windows(tokens, starts, context):
    """Return windows of tokens at starts, and the same one token later."""
    ids = torch.stack([tokens[i:i + context] for i in starts])
    targets = torch.stack([tokens[i + 1:i + context + 1] for i in starts])
    return ids, targets


def cross_entropy(model, ids, targets):
    """Return the mean negative log-likelihood of targets."""
    logits = model(ids)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


@torch.no_grad()
def test_loss(model, tokens, context, device):
    """Return the mean loss over the first windows of the test tokens."""
    n_windows = min(TEST_WINDOWS, (len(tokens) - 1) // context)
    total = 0.0
    for first in range(0, n_windows, TEST_BATCH):
        last = min(first + TEST_BATCH, n_windows)
        starts = [i * context for i in range(first, last)]
        ids, targets = take_windows(tokens, starts, context)
        loss = cross_entropy(model, ids.to(device), targets.to(device))
        total += loss.item() * len(starts)
    return total / n_windows


def learning_rate(step, progress):
    """Return the share of the full rate; progress runs from 0 to 1."""
    warm_up = min(1, (step + 1) / WARM_UP_STEPS)
    return warm_up * min(1.0, max(LAST_RATE, (1 - progress) / DECAY_SHARE))


def save_model(path, model, sizes):
    """Write weights and sizes, replacing the file only when complete."""
    arrays = {name: weight.float().cpu().numpy()
              for name, weight in model.state_dict().items()}
    arrays['sizes'] = np.array(json.dumps(dataclasses.asdict(sizes)))
    unfinished = path.with_suffix('.tmp')
    with open(unfinished, 'wb') as file:
        np.savez(file, **arrays)
    os.replace(unfinished, path)


def read_tokens(path):
    """Return a file of uint16 ids as a tensor, None where it is missing."""
    if not path.exists():
        return None
    return torch.from_numpy(np.fromfile(path, dtype='<u2').astype(np.int64))


class Log:
    """Lines to the terminal and to train.log."""

    def __init__(self, path):
        self.file = open(path, 'a', encoding='ascii')

    def __call__(self, line):
        print(line, flush=True)
        self.file.write(line + '\n')
        self.file.flush()


def train(args, sizes, log):
    """Run the training loop; return the model."""
    torch.manual_seed(0)
    model = LanguageModel(sizes).to(args.device)
    log(f'{sum(p.numel() for p in model.parameters())} parameters')
    batches = Batches(read_tokens(args.data / 'train.bin'), sizes.context,
                      args.batch)
    test_tokens = read_tokens(args.data / 'test.bin')
    optimizer = Optimizer(model)
    start = time.time()
    step = 0
    while True:
        elapsed = time.time() - start
        progress = (step / args.steps if args.steps
                    else elapsed / args.seconds)
        if progress >= 1:
            return model
        rate = learning_rate(step, progress)
        ids, targets = (t.to(args.device) for t in batches.draw())
        text_loss = cross_entropy(model, ids, targets)
        loss = text_loss
        if args.l1:
            pressure = sum(block.active.mean() for block in model.blk)
            loss = text_loss + args.l1 * progress * pressure
        loss.backward()
        optimizer.step(rate)
        model.zero_grad(set_to_none=True)
        step += 1
        if step % LOG_EVERY == 0:
            active = [round(float((block.active > 0).float().mean()), 3)
                      for block in model.blk]
            log(f'{step} loss {text_loss.item():.4f} active {active} '
                f'tokens {step * args.batch * sizes.context} '
                f'{elapsed:.0f} s rate {rate:.3f}')
        if step % TEST_EVERY == 0:
            if test_tokens is not None and len(test_tokens) > sizes.context:
                loss = test_loss(model, test_tokens, sizes.context,
                                 args.device)
                log(f'  test loss {loss:.4f} '
                    f'perplexity {math.exp(loss):.2f}')
            save_model(args.data / 'checkpoint.npz', model, sizes)


def parse_args():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('data', type=pathlib.Path, help="prep.py's output folder")
    for name, meaning in (
            ('width', 'model width'), ('layers', 'layers'),
            ('heads', 'attention heads'),
            ('kv_heads', 'key and value heads, a divisor of --heads'),
            ('ff', 'feed-forward neurons in a layer'),
            ('context', 'tokens the model sees at once')):
        add('--' + name.replace('_', '-'), type=int, metavar='N',
            default=getattr(Sizes, name),
            help=meaning + ' (default %(default)s)')
    add('--batch', type=int, default=16, metavar='N',
        help='windows in a step (default %(default)s)')
    add('--steps', type=int, metavar='N', help='length of the run in steps')
    add('--seconds', type=float, default=5400.0, metavar='S',
        help='length of the run where --steps is missing '
        '(default %(default)s)')
    add('--l1', type=float, default=0.0, metavar='X',
        help='final weight of the L1 pressure (default %(default)s)')
    add('--device', default='cuda' if torch.cuda.is_available() else 'cpu',
        help='cpu or cuda (default here: %(default)s)')
    add('--threads', type=int, metavar='N', help='CPU threads')
    args = parser.parse_args()
    sizes = (args.width, args.layers, args.heads, args.kv_heads, args.ff,
             args.context, args.batch)
    if min(sizes) < 1 or args.seconds <= 0 or (args.steps or 1) < 1:
        parser.error('sizes and lengths must be positive')
    if args.width % (2 * args.heads) or args.heads % args.kv_heads:
        parser.error('--width must be a multiple of twice --heads, and '
                     '--heads of --kv-heads')
    return args


def main():
    """Train a model and write it."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    for name in ('tokenizer.json', 'train.bin'):
        if not (args.data / name).exists():
            sys.exit(f'train.py: no {name} in {args.data}: run prep.py first')
    with open(args.data / 'tokenizer.json', encoding='ascii') as file:
        vocab = len(json.load(file)['vocab'])
    sizes = Sizes(vocab, args.width, args.layers, args.heads, args.kv_heads,
                  args.ff, args.context)
    model = train(args, sizes, Log(args.data / 'train.log'))
    save_model(args.data / 'model.npz', model, sizes)
    print(f'wrote {args.data / "model.npz"}')


if __name__ == '__main__':
    main()
