#!/usr/bin/env python3
"""Turn a folder of plain-text books into tokens to train on.

Every file of BOOKS that ends in .txt is cleaned (Project Gutenberg's header
and footer cut off, typographic marks made ASCII, one paragraph a line), a
byte-level BPE is learned from the books to train on, and each set of books is
written as a flat array of little-endian uint16 token ids, token 0
(<|endoftext|>) before every book.

Written to OUT:
  tokenizer.json         {"vocab": [...], "merges": ["a b", ...]}
  train.bin, train.txt   tokens and text of the books to train on
  test.bin, test.txt     the same for the books named by --test
  reserve.bin, .txt      the same for the books named by --reserve: neither
                         trained on nor looked at until the very end

Example:
  prep.py books data --test violet-fairy-book --reserve crimson-fairy-book
"""
import argparse
import collections
import json
import pathlib
import re
import sys

import numpy as np

END_OF_TEXT = '<|endoftext|>'
MAX_VOCAB = 1 << 16  # token ids are stored as uint16

# The pre-tokenizer: contractions, words, numbers, marks (each with one leading
# space at most) and runs of white space. GPT-2's, for ASCII text.
WORD_PATTERN = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+"
    r"|\s+(?!\S)|\s+")

START_MARKS = (
    re.compile(r'\*\*\*\s*START OF TH[EIS]+ PROJECT GUTENBERG.*?\*\*\*',
               re.S | re.I),
    re.compile(r'\*END\*?THE SMALL PRINT.*?\*END\*', re.S | re.I),
)
END_MARK = re.compile(
    r'(\*\*\*\s*END OF TH[EIS]+ PROJECT GUTENBERG'
    r'|End of (The |this )?Project Gutenberg)', re.I)
UNWANTED = re.compile(
    r'^(\[?illustration|produced by|contents|chapter|transcriber)', re.I)
TO_ASCII = str.maketrans({
    '\u2018': "'", '\u2019': "'", '\u201c': '"', '\u201d': '"',
    '\u2014': '--', '\u2013': '-', '\u2026': '...', '_': '',
    '\u00e9': 'e', '\u00e8': 'e', '\u00ea': 'e', '\u00e6': 'ae',
    '\u00ef': 'i', '\u00f6': 'o', '\u00fc': 'u', '\u00e4': 'a',
    '\u00e7': 'c', '\u00a0': ' ',
})


def cut_licence(text):
    """Return text without the header and footer of Project Gutenberg."""
    for mark in START_MARKS:
        match = mark.search(text)
        if match:
            text = text[match.end():]
            break
    match = END_MARK.search(text)
    return text[:match.start()] if match else text


def is_shouted(paragraph):
    """Say whether more than 60 % of a paragraph's letters are capitals."""
    letters = [c for c in paragraph if c.isalpha()]
    capitals = sum(c.isupper() for c in letters)
    return bool(letters) and capitals / len(letters) > 0.6


def clean_paragraph(paragraph):
    """Return a paragraph on one line, or '' where it is not prose."""
    paragraph = re.sub(r'\s+', ' ', paragraph).strip()
    if len(paragraph) < 2 or UNWANTED.match(paragraph):
        return ''
    if is_shouted(paragraph):
        paragraph = paragraph.title() if len(paragraph) < 80 else ''
    if re.search(r'gutenberg', paragraph, re.I):
        return ''
    return paragraph


def clean_book(text):
    """Return a whole book as ASCII text with one paragraph a line."""
    text = text.replace('\r\n', '\n').replace('\ufeff', '')
    text = cut_licence(text).translate(TO_ASCII)
    text = text.encode('ascii', 'ignore').decode()
    paragraphs = (clean_paragraph(p) for p in re.split(r'\n\s*\n', text))
    return '\n'.join(p for p in paragraphs if p)


def read_books(folder):
    """Return {name without .txt: cleaned text}, sorted by file name."""
    books = {}
    for path in sorted(folder.glob('*.txt'), key=lambda p: p.name):
        raw = path.read_bytes()
        try:
            text = raw.decode('utf-8')
        except UnicodeDecodeError:
            text = raw.decode('latin-1')
        books[path.stem] = clean_book(text)
    return books


def byte_symbols():
    """Return GPT-2's map from a byte to the printable character for it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in symbols:
            symbols[byte] = chr(256 + len(symbols) - len(printable))
    return symbols


BYTE_SYMBOLS = byte_symbols()


def split_bytes(word):
    """Return a word as the list of its bytes' symbols."""
    return [BYTE_SYMBOLS[byte] for byte in word.encode()]


def join_pair(symbols, pair):
    """Return symbols with every occurrence of pair joined, left to right."""
    joined = []
    i = 0
    while i < len(symbols):
        if tuple(symbols[i:i + 2]) == pair:
            joined.append(pair[0] + pair[1])
            i += 2
        else:
            joined.append(symbols[i])
            i += 1
    return joined


class PairTable:
    """Words as symbols, and how often each neighbouring pair occurs."""

    def __init__(self, word_counts):
        self.words = [split_bytes(word) for word in word_counts]
        self.counts = list(word_counts.values())
        self.pairs = collections.Counter()
        self.where = collections.defaultdict(set)
        for i in range(len(self.words)):
            self._add(i)

    def _add(self, i):
        word = self.words[i]
        for pair in zip(word, word[1:]):
            self.pairs[pair] += self.counts[i]
            self.where[pair].add(i)

    def _remove(self, i):
        word = self.words[i]
        for pair in zip(word, word[1:]):
            self.pairs[pair] -= self.counts[i]
            if self.pairs[pair] <= 0:
                del self.pairs[pair]
            self.where[pair].discard(i)

    def most_frequent(self):
        """Return the most frequent pair; of equals, the last in order."""
        return max(self.pairs.items(), key=lambda item: (item[1], item[0]))[0]

    def merge(self, pair):
        """Join a pair in every word that has it."""
        for i in list(self.where[pair]):
            self._remove(i)
            self.words[i] = join_pair(self.words[i], pair)
            self._add(i)


def learn_bpe(texts, vocab_size):
    """Return (vocabulary, merges) of a byte-level BPE learned from texts."""
    word_counts = collections.Counter()
    for text in texts:
        word_counts.update(WORD_PATTERN.findall(text))
    table = PairTable(word_counts)
    vocab = [END_OF_TEXT, *sorted(BYTE_SYMBOLS.values())]
    merges = []
    while len(vocab) < vocab_size and table.pairs:
        pair = table.most_frequent()
        merges.append(pair)
        vocab.append(pair[0] + pair[1])
        table.merge(pair)
    return vocab, merges


class Encoder:
    """Text to token ids, by the merges in the order they were learned."""

    def __init__(self, vocab, merges):
        self.ids = {token: i for i, token in enumerate(vocab)}
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.cache = {}

    def encode_word(self, word):
        """Return the ids of one word of the pre-tokenizer."""
        if word not in self.cache:
            symbols = split_bytes(word)
            unknown = len(self.ranks)
            while len(symbols) > 1:
                rank, i = min(
                    (self.ranks.get(pair, unknown), i)
                    for i, pair in enumerate(zip(symbols, symbols[1:])))
                if rank == unknown:
                    break
                symbols[i:i + 2] = [symbols[i] + symbols[i + 1]]
            self.cache[word] = [self.ids[symbol] for symbol in symbols]
        return self.cache[word]

    def encode_books(self, texts):
        """Return the ids of all texts, <|endoftext|> before each."""
        ids = []
        for text in texts:
            ids.append(self.ids[END_OF_TEXT])
            for word in WORD_PATTERN.findall(text):
                ids += self.encode_word(word)
        return np.array(ids, dtype='<u2')


def write_set(out, name, texts, encoder):
    """Write NAME.bin and NAME.txt, and report their size."""
    ids = encoder.encode_books(texts)
    ids.tofile(out / f'{name}.bin')
    text = '\n\n'.join(texts)
    (out / f'{name}.txt').write_text(text + '\n', encoding='ascii')
    print(f'{name}: {len(texts)} books, {len(ids)} tokens, '
          f'{len(text) / len(ids):.3f} bytes a token', file=sys.stderr)


def parse_args():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('books', type=pathlib.Path,
                        help='folder of plain-text books, *.txt')
    parser.add_argument('out', type=pathlib.Path,
                        help='folder to write to, made if missing')
    parser.add_argument('--vocab', type=int, default=4096, metavar='N',
                        help='tokens in the vocabulary (default %(default)s)')
    parser.add_argument('--test', nargs='*', default=[], metavar='NAME',
                        help='books (without .txt) to test on')
    parser.add_argument('--reserve', nargs='*', default=[], metavar='NAME',
                        help='books (without .txt) to keep for the very end')
    args = parser.parse_args()
    if not len(BYTE_SYMBOLS) < args.vocab <= MAX_VOCAB:
        parser.error(f'--vocab must be {len(BYTE_SYMBOLS) + 1} to {MAX_VOCAB}')
    return args


def main():
    """Read the books, learn the tokenizer, write the token arrays."""
    args = parse_args()
    books = read_books(args.books)
    held_out = [*args.test, *args.reserve]
    missing = [name for name in held_out if name not in books]
    if missing:
        sys.exit(f'prep.py: no such book in {args.books}: '
                 + ', '.join(missing))
    train = [text for name, text in books.items() if name not in held_out]
    if not train:
        sys.exit(f'prep.py: no *.txt in {args.books} to train on')
    vocab, merges = learn_bpe(train, args.vocab)
    if len(vocab) < args.vocab:
        print(f'prep.py: the text yields {len(vocab)} tokens only',
              file=sys.stderr)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = {'vocab': vocab, 'merges': [' '.join(m) for m in merges]}
    with open(args.out / 'tokenizer.json', 'w', encoding='ascii') as file:
        json.dump(tokenizer, file)
    encoder = Encoder(vocab, merges)
    write_set(args.out, 'train', train, encoder)
    for name, chosen in (('test', args.test), ('reserve', args.reserve)):
        if chosen:
            write_set(args.out, name, [books[b] for b in chosen], encoder)


if __name__ == '__main__':
    main()
