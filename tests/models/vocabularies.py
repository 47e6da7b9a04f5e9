#!/usr/bin/env python3
"""Writes the vocabularies of tests/models, GGUF files without tensors, of 512 tokens each:

    byte-bpe.gguf       byte-level BPE as GPT-2 has it: the 256 bytes, 255 merges trained on the text below, an end
    sentencepiece.gguf  as Llama 2 has it: <unk>, <s>, </s>, the 256 bytes, pieces with scores

`rafter quantize MODEL OUT.gguf --weights TYPE --tokenizer FILE` puts one into a model. The output never changes.
"""
import collections
import os
import struct

U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
TEXT = """the quick brown fox jumps over the lazy dog and then the dog sleeps in the sun while the fox is on the run
what a model costs to serve: latency, memory, throughput, energy and dollars, operator by operator, for any model
a prompt of one thousand tokens takes a second, each token after that takes a tenth of one, and the cache grows
it was the best of times, it was the worst of times, there were hands and minds at work on all of the machines
numbers like 1 2 3 10 100 1000 are there too, and they're split as we've seen: 12, 345; question? answer!
somebody walking through different places yesterday remembered having seen beautiful mountains beyond blue rivers
children usually learn languages quickly because everything around them speaks; grown people need patience
engineers measure bandwidth, compare kernels, publish results and write documentation which others criticise
every system with several components fails sometimes, therefore careful designers keep simple mechanisms visible
water boils at lower temperature where pressure drops; physicists explained this behaviour centuries ago
"""


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def strings(key, values):
    return pair(key, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values)))


def numbers(key, kind, form, values):
    return pair(key, ARRAY, struct.pack("<IQ", kind, len(values)) + struct.pack("<%d%s" % (len(values), form), *values))


def write(name, pairs):
    pairs = [pair("general.architecture", STRING, text("llama")), pair("general.name", STRING, text(name))] + pairs
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".gguf")
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))


def byte_letters():
    """Bytes as printable letters: those that are printable stand for themselves, the others for 256 and up."""
    own = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    letters = {b: chr(b) for b in own}
    for b in range(256):
        if b not in letters:
            letters[b] = chr(256 + len(letters) - len(own))
    return letters


def train(words, count):
    """The most frequent pair is merged, of equals the first in order, `count` times."""
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, times in words.items():
            for left, right in zip(word, word[1:]):
                pairs[left, right] += times
        left, right = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append((left, right))
        merged = collections.Counter()
        for word, times in words.items():
            out, i = [], 0
            while i < len(word):
                both = i + 1 < len(word) and (word[i], word[i + 1]) == (left, right)
                out.append(left + right if both else word[i])
                i += 2 if both else 1
            merged[tuple(out)] += times
        words = merged
    return merges


def byte_bpe():
    letters = byte_letters()
    words = collections.Counter()
    for line in TEXT.splitlines():
        for i, word in enumerate(line.split(" ")):
            words[tuple(letters[b] for b in ((" " if i else "") + word).encode())] += 1
    merges = train(words, 255)
    tokens = [letters[b] for b in range(256)] + [a + b for a, b in merges] + ["<|endoftext|>"]
    write("byte-bpe", [
        pair("tokenizer.ggml.model", STRING, text("gpt2")),
        pair("tokenizer.ggml.pre", STRING, text("gpt-2")),
        strings("tokenizer.ggml.tokens", tokens),
        numbers("tokenizer.ggml.token_type", 5, "i", [1] * 511 + [3]),
        strings("tokenizer.ggml.merges", [a + " " + b for a, b in merges]),
        pair("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", 511)),
        pair("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", 511)),
        pair("tokenizer.ggml.add_bos_token", BOOL, b"\0"),
    ])


def sentencepiece():
    space = "\u2581"
    words = collections.Counter()
    for line in TEXT.splitlines():
        for word in line.split(" "):
            words[tuple(space + word)] += 1
    singles = sorted({c for word in words for c in word})
    merges = train(words, 512 - 259 - len(singles))
    pieces = [a + b for a, b in merges] + singles
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + pieces
    write("sentencepiece", [
        pair("tokenizer.ggml.model", STRING, text("llama")),
        strings("tokenizer.ggml.tokens", tokens),
        numbers("tokenizer.ggml.scores", F32, "f", [0.0] * 259 + [-float(i) for i in range(len(pieces))]),
        numbers("tokenizer.ggml.token_type", 5, "i", [2, 3, 3] + [6] * 256 + [1] * len(pieces)),
        pair("tokenizer.ggml.unknown_token_id", U32, struct.pack("<I", 0)),
        pair("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", 1)),
        pair("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", 2)),
        pair("tokenizer.ggml.add_bos_token", BOOL, b"\1"),
        pair("tokenizer.ggml.add_space_prefix", BOOL, b"\1"),
    ])


byte_bpe()
sentencepiece()
