#!/usr/bin/env python3
"""Tiny GGUF files laid out as llama.cpp's converters lay theirs out, and their logits, written from the formulas.

    gguf_reference.py write FOLDER dense one file an architecture of attention and MLPs
    gguf_reference.py write FOLDER other those of experts and recurrences
    gguf_reference.py compare FILE NPY   how far logits of tokens 1 ... 12 are from ours, over their deviation

Tensors' names, shapes and metadata, and what is computed, are those of llama.cpp
(https://github.com/ggml-org/llama.cpp, src/models); nothing of rafter is used.
"""
import math
import os
import random
import struct
import sys

HIDDEN, VOCAB, LAYERS, WIDTH, EXPERTS, TOKENS = 64, 40, 2, 96, 8, 12
U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
TYPES = {0: "f32", 3: "q4_1", 6: "q5_0", 7: "q5_1"}
NEIGHBOURS = ("llama", "deepseek2", "granite", "smollm3", "command-r", "chatglm", "glm4")  # RoPE turns; else halves
LAYER_NORMS = ("gpt2", "phi2", "starcoder2", "stablelm", "falcon", "command-r")
NORMALISED = ("llama", "qwen3moe", "qwen3next", "qwen35moe")  # experts' weights
GELU = ("gpt2", "phi2", "starcoder2", "falcon")
SIDE_BY_SIDE = ("phi2", "falcon", "command-r")  # attention and feed-forward


# ---- blocks of 32 (ggml-common.h) ----

def random_block(kind):
    scale, least = struct.pack("<e", random.uniform(0.01, 0.02)), struct.pack("<e", random.uniform(-0.3, -0.1))
    size = {"q4_1": 16, "q5_0": 20, "q5_1": 20}[kind]
    return scale + (b"" if kind == "q5_0" else least) + random.randbytes(size)


def read_block(kind, block):
    head = 2 if kind == "q5_0" else 4
    scale = struct.unpack_from("<e", block)[0]
    least = -16 * scale if kind == "q5_0" else struct.unpack_from("<e", block, 2)[0]
    fifths = 0 if kind == "q4_1" else struct.unpack_from("<I", block, head)[0]
    low = block[-16:]
    steps = [byte & 15 for byte in low] + [byte >> 4 for byte in low]
    return [scale * (step | (fifths >> i & 1) << 4) + least for i, step in enumerate(steps)]


BLOCK_BYTES = {"q4_1": 20, "q5_0": 22, "q5_1": 24}


# ---- files ----

def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value_of(value):
    if isinstance(value, bool):
        return struct.pack("<IB", BOOL, value)
    if isinstance(value, list):
        return struct.pack(f"<IIQ{len(value)}B", ARRAY, BOOL, len(value), *value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    return struct.pack("<I", STRING) + text(value)


def random_values(name, count):
    middle = 1 if "norm" in name and name.endswith("weight") or "rope_f" in name else -0.5 if "ssm_a" in name else 0
    return [middle + random.uniform(-0.3, 0.3) for _ in range(count)]


def write(folder, file, architecture, pairs, tensors, kind="f32"):
    other = any("_exps." in name or "ssm_" in name for name, _ in tensors)
    if other != (sys.argv[3] == "other"):
        return
    random.seed(file)
    out, data, offset = b"", b"", 0
    pairs = {"general.architecture": architecture, **{f"{architecture}.{k}": v for k, v in pairs.items()}}
    for key, value in pairs.items():
        out += text(key) + value_of(value)
    number = {name: number for number, name in TYPES.items()}
    for name, shape in tensors:
        count = math.prod(shape)
        blocks = kind != "f32" and len(shape) > 1
        out += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        out += struct.pack("<IQ", number[kind] if blocks else 0, offset)
        part = (b"".join(random_block(kind) for _ in range(count // 32)) if blocks
                else struct.pack(f"<{count}f", *random_values(name, count)))
        data += part + bytes(-len(part) % 32)
        offset = len(data)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + out
    with open(os.path.join(folder, file + ".gguf"), "wb") as stream:
        stream.write(head + bytes(-len(head) % 32) + data)


def each_layer(tensors, layers=LAYERS):
    return [(f"blk.{layer}.{name}", shape) for layer in range(layers) for name, shape in tensors]


def outside(tied=False, biases=()):
    tensors = [("token_embd.weight", (HIDDEN, VOCAB)), ("output_norm.weight", (HIDDEN,))]
    tensors += [] if tied else [("output.weight", (HIDDEN, VOCAB))]
    return tensors + [(name + ".bias", (size,)) for name, size in biases]


def attention(q=64, kv=32):
    return [("attn_norm.weight", (HIDDEN,)), ("attn_q.weight", (HIDDEN, q)), ("attn_k.weight", (HIDDEN, kv)),
            ("attn_v.weight", (HIDDEN, kv)), ("attn_output.weight", (q, HIDDEN)), ("ffn_norm.weight", (HIDDEN,))]


def mlp(suffix="", width=WIDTH, experts=()):
    return [(f"ffn_gate{suffix}.weight", (HIDDEN, width, *experts)), (f"ffn_up{suffix}.weight", (HIDDEN, width, *experts)),
            (f"ffn_down{suffix}.weight", (width, HIDDEN, *experts))]


def moe():
    return [("ffn_gate_inp.weight", (HIDDEN, EXPERTS)), *mlp("_exps", 32, (EXPERTS,))]


def plain_layers(norms):
    """GPT-2's and Phi-2's: biases everywhere, q, k and v in one."""
    tensors = [("attn_qkv.weight", (HIDDEN, 192)), ("attn_qkv.bias", (192,)), ("attn_output.weight", (64, HIDDEN)),
               ("attn_output.bias", (HIDDEN,)), ("ffn_up.weight", (HIDDEN, WIDTH)), ("ffn_up.bias", (WIDTH,)),
               ("ffn_down.weight", (WIDTH, HIDDEN)), ("ffn_down.bias", (HIDDEN,))]
    return each_layer(tensors + [(f"{norm}.{part}", (HIDDEN,)) for norm in norms for part in ("weight", "bias")])


def deepseek_layers(up):
    mixer = [("attn_norm.weight", (HIDDEN,)), ("attn_q.weight", (HIDDEN, 4 * 48)),
             ("attn_kv_a_mqa.weight", (HIDDEN, 48)), ("attn_kv_a_norm.weight", (32,)),
             ("attn_output.weight", (4 * 32, HIDDEN)), ("ffn_norm.weight", (HIDDEN,)), *up]
    return ([("blk.0." + name, shape) for name, shape in mixer + mlp()] +
            [("blk.1." + name, shape) for name, shape in mixer + moe() + mlp("_shexp", 64)])


def write_gelu(folder, layer, biases):
    """Layer norms, with biases but for Command R's."""
    wide = [(f"attn_{p}.bias", (64,)) for p in "qkv"]
    norms = [(f"{norm}.bias", (HIDDEN,)) for norm in ("attn_norm", "ffn_norm")]
    plain = [("ffn_up.weight", (HIDDEN, WIDTH)), ("ffn_down.weight", (WIDTH, HIDDEN))]
    outer = [("attn_output.bias", (HIDDEN,)), ("ffn_up.bias", (WIDTH,)), ("ffn_down.bias", (HIDDEN,))]
    write(folder, "starcoder2", "starcoder2", {**layer, "attention.head_count_kv": 2},
          outside(True, [("output_norm", HIDDEN)]) + each_layer(attention() + plain + norms + biases + outer))
    write(folder, "stablelm", "stablelm", {**layer, "rope.dimension_count": 8},
          outside(False, [("output_norm", HIDDEN)]) + each_layer(attention(64, 64) + mlp() + norms + wide))
    write(folder, "command-r", "command-r", {**layer, "attention.head_count_kv": 2, "logit_scale": 0.25},
          outside(True) + each_layer([t for t in attention() if t[0] != "ffn_norm.weight"] + mlp()))
    falcon = [("attn_qkv.weight", (HIDDEN, 128)), ("attn_output.weight", (64, HIDDEN)), *plain,
              *((f"{norm}.{part}", (HIDDEN,)) for norm in ("attn_norm", "attn_norm_2") for part in ("weight", "bias"))]
    write(folder, "falcon-40b", "falcon", {**layer, "attention.head_count_kv": 2},
          outside(False, [("output_norm", HIDDEN)]) + each_layer(falcon))
    write(folder, "falcon-7b", "falcon", {**layer, "attention.head_count_kv": 2},
          outside(True, [("output_norm", HIDDEN)]) + each_layer([t for t in falcon if "norm_2" not in t[0]]))


def write_glm(folder, base, routed, biases, behind):
    part = {**base, "rope.dimension_count": 8}
    both = [("ffn_up.weight", (HIDDEN, 2 * WIDTH)), ("ffn_down.weight", (WIDTH, HIDDEN))]
    chatglm = [t for t in attention() if t[0][:6] not in ("attn_q", "attn_k", "attn_v")]
    write(folder, "chatglm", "chatglm", part, outside() + each_layer(
        chatglm + both + [("attn_qkv.weight", (HIDDEN, 128)), ("attn_qkv.bias", (128,))]))
    write(folder, "glm4", "glm4", part, outside() + each_layer(attention() + both + biases + behind))
    glm = [t for t in attention() if t[0] != "ffn_norm.weight"] + biases + [("post_attention_norm.weight", (HIDDEN,))]
    write(folder, "glm4moe", "glm4moe",
          {**routed, "rope.dimension_count": 8, "expert_weights_norm": True, "expert_weights_scale": 2.5,
           "leading_dense_block_count": 1, "expert_shared_count": 1},
          outside() + [("blk.0." + name, shape) for name, shape in glm + mlp()] +
          [("blk.1." + name, shape) for name, shape in
           glm + moe() + mlp("_shexp", 32) + [("exp_probs_b.bias", (EXPERTS,))]])


def write_delta(folder, base, routed):
    """Qwen3-Next and Qwen3.5: a layer of gated DeltaNet, one of gated attention. 2 key heads, 4 value heads of 16."""
    sizes = {"attention.key_length": 16, "attention.value_length": 16, "rope.dimension_count": 8, "ssm.conv_kernel": 4,
             "ssm.inner_size": 64, "ssm.state_size": 16, "ssm.time_step_rank": 4, "ssm.group_count": 2}
    norms = [("attn_norm.weight", (HIDDEN,)), ("post_attention_norm.weight", (HIDDEN,))]
    attend = [("attn_q.weight", (HIDDEN, 128)), ("attn_k.weight", (HIDDEN, 32)), ("attn_v.weight", (HIDDEN, 32)),
              ("attn_output.weight", (64, HIDDEN)), ("attn_q_norm.weight", (16,)), ("attn_k_norm.weight", (16,))]
    delta = [("ssm_conv1d.weight", (4, 128)), ("ssm_dt.bias", (4,)), ("ssm_a", (4,)), ("ssm_norm.weight", (16,)),
             ("ssm_out.weight", (64, HIDDEN))]
    apart = [("attn_qkv.weight", (HIDDEN, 128)), ("attn_gate.weight", (HIDDEN, 64))]
    one = [("ssm_ba.weight", (HIDDEN, 8))]
    two = [("ssm_beta.weight", (HIDDEN, 4)), ("ssm_alpha.weight", (HIDDEN, 4))]
    experts = moe() + mlp("_shexp", 32) + [("ffn_gate_inp_shexp.weight", (HIDDEN,))]
    for file, name, start, feed in (("qwen3next", "qwen3next", apart + one, experts),
                                    ("qwen3next-old", "qwen3next", [("ssm_in.weight", (HIDDEN, 192))] + one, experts),
                                    ("qwen35moe", "qwen35moe", apart + two, experts), ("qwen35", "qwen35", apart + two, mlp())):
        pairs = {**(base if name == "qwen35" else routed), **sizes}
        write(folder, file, name, pairs, outside() +
              [("blk.0." + tensor, shape) for tensor, shape in norms + start + delta + feed] +
              [("blk.1." + tensor, shape) for tensor, shape in norms + attend + feed])


def write_all(folder):
    sizes = {"context_length": 256, "embedding_length": HIDDEN, "block_count": LAYERS, "feed_forward_length": WIDTH,
             "attention.head_count": 4, "attention.head_count_kv": 2}
    base = {**sizes, "attention.layer_norm_rms_epsilon": 1e-5}
    layer = {**sizes, "attention.head_count_kv": 4, "attention.layer_norm_epsilon": 1e-5}
    routed = {**base, "expert_count": EXPERTS, "expert_used_count": 2, "expert_feed_forward_length": 32}
    biases = [("attn_q.bias", (64,)), ("attn_k.bias", (32,)), ("attn_v.bias", (32,))]
    heads = {"attention.key_length": 16, "attention.value_length": 16, "attention.sliding_window": 8}
    behind = [("post_attention_norm.weight", (HIDDEN,)), ("post_ffw_norm.weight", (HIDDEN,))]
    head_norms = [("attn_q_norm.weight", (16,)), ("attn_k_norm.weight", (16,))]
    llama = outside(True) + each_layer(attention() + mlp())
    write(folder, "llama", "llama", {**base, "rope.dimension_count": 16}, llama + [("rope_freqs.weight", (8,))])
    write(folder, "linear", "llama", {**base, "rope.scaling.factor": 4.0}, llama)
    for kind in BLOCK_BYTES:
        write(folder, kind, "llama", base, llama, kind)
    write(folder, "qwen2", "qwen2", {**base, "rope.freq_base": 1e6},
          outside(True) + each_layer(attention() + mlp() + biases))
    write(folder, "qwen3", "qwen3", {**base, "attention.key_length": 32, "attention.value_length": 32},
          outside(True) + each_layer(attention(128, 64) + mlp() +
                                     [("attn_q_norm.weight", (32,)), ("attn_k_norm.weight", (32,))]))
    write(folder, "gemma2", "gemma2", {**base, **heads}, outside(True) + each_layer(attention() + mlp() + behind))
    write(folder, "gemma3", "gemma3",
          {**base, **heads, "rope.freq_base": 1e6, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0},
          outside(True) + each_layer(attention() + mlp() + behind + head_norms))
    write(folder, "phi3", "phi3",
          {**base, "rope.scaling.attn_factor": 1.19, "rope.scaling.original_context_length": 128},
          outside() + [("rope_factors_long.weight", (8,)), ("rope_factors_short.weight", (8,))] +
          each_layer([("attn_norm.weight", (HIDDEN,)), ("attn_qkv.weight", (HIDDEN, 128)),
                      ("attn_output.weight", (64, HIDDEN)), ("ffn_norm.weight", (HIDDEN,)),
                      ("ffn_up.weight", (HIDDEN, 2 * WIDTH)), ("ffn_down.weight", (WIDTH, HIDDEN))]))
    write(folder, "gpt2", "gpt2", layer, [("position_embd.weight", (HIDDEN, 256))] +
          outside(False, [("output_norm", HIDDEN)]) + plain_layers(("attn_norm", "ffn_norm")))
    write(folder, "phi2", "phi2", {**layer, "rope.dimension_count": 8},
          outside(False, [("output_norm", HIDDEN), ("output", VOCAB)]) + plain_layers(("attn_norm",)))
    write(folder, "mixtral", "llama", routed, outside() + each_layer(attention() + moe()))
    write(folder, "qwen2moe", "qwen2moe", routed, outside() + each_layer(
        attention() + moe() + mlp("_shexp") + biases + [("ffn_gate_inp_shexp.weight", (HIDDEN,))]))
    write(folder, "qwen3moe", "qwen3moe", routed, outside() + each_layer(attention() + moe() + head_norms))
    write(folder, "olmoe", "olmoe", routed, outside() + each_layer(
        attention() + moe() + [("attn_q_norm.weight", (64,)), ("attn_k_norm.weight", (32,))]))
    write(folder, "granite", "granite", {**base, "logit_scale": 8.0, "residual_scale": 0.22, "embedding_scale": 12.0,
                                         "attention.scale": 0.0156}, llama)
    latent = {**routed, "attention.head_count_kv": 4, "attention.kv_lora_rank": 32, "rope.dimension_count": 16,
              "leading_dense_block_count": 1, "expert_shared_count": 2, "expert_weights_scale": 1.0,
              "attention.key_length": 48, "attention.value_length": 32, "rope.scaling.type": "yarn",
              "rope.scaling.factor": 40.0, "rope.scaling.original_context_length": 4096,
              "rope.scaling.yarn_log_multiplier": 0.0707}
    write(folder, "deepseek2", "deepseek2", latent, outside() + deepseek_layers([("attn_kv_b.weight", (32, 4 * 64))]))
    write(folder, "deepseek2-split", "deepseek2",
          {**latent, "attention.head_count_kv": 1, "attention.key_length": 48, "attention.value_length": 32,
           "attention.key_length_mla": 48, "attention.value_length_mla": 32},
          outside() + deepseek_layers([("attn_k_b.weight", (32, 32, 4)), ("attn_v_b.weight", (32, 32, 4))]))
    write_gelu(folder, layer, biases)
    write_glm(folder, base, routed, biases, behind)
    write_delta(folder, base, routed)
    write(folder, "gemma3-flags", "gemma3", {**base, **heads, "attention.sliding_window_pattern": [False, True]},
          outside(True) + each_layer(attention() + mlp() + behind + head_norms))
    write(folder, "gemma2-period", "gemma2", {**base, **heads, "block_count": 3, "attention.sliding_window_pattern": 3},
          outside(True) + each_layer(attention() + mlp() + behind, 3))
    write(folder, "exaone", "exaone", {**base, "rope.dimension_count": 16}, llama + [("rope_freqs.weight", (8,))])
    write(folder, "smollm3", "smollm3", {**base, "block_count": 4}, outside(True) + each_layer(attention() + mlp(), 4))
    write(folder, "minimax-m2", "minimax-m2", {**routed, "rope.dimension_count": 8, "expert_gating_func": 2},
          outside() + each_layer(attention() + moe() + [("exp_probs_b.bias", (EXPERTS,)), ("attn_q_norm.weight", (64,)),
                                                        ("attn_k_norm.weight", (32,))]))
    recurrent = {"context_length": 1048576, "embedding_length": HIDDEN, "block_count": LAYERS,
                 "attention.layer_norm_rms_epsilon": 1e-5}
    write(folder, "mamba2", "mamba2",
          {**recurrent, "ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 8, "ssm.time_step_rank": 4,
           "ssm.group_count": 2},
          outside(True) + each_layer(
              [("attn_norm.weight", (HIDDEN,)), ("ssm_in.weight", (HIDDEN, 292)), ("ssm_conv1d.weight", (4, 160)),
               ("ssm_conv1d.bias", (160,)), ("ssm_dt.bias", (4,)), ("ssm_a", (1, 4)), ("ssm_d", (1, 4)),
               ("ssm_norm.weight", (64, 2)), ("ssm_out.weight", (128, HIDDEN))]))
    write(folder, "mamba", "mamba",
          {"context_length": 1048576, "embedding_length": HIDDEN, "feed_forward_length": 0, "attention.head_count": 0,
           "block_count": LAYERS, "ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 16,
           "ssm.time_step_rank": 4, "ssm.dt_b_c_rms": False, "attention.layer_norm_rms_epsilon": 1e-5},
          outside(True) + each_layer(
              [("attn_norm.weight", (HIDDEN,)), ("ssm_in.weight", (HIDDEN, 256)), ("ssm_conv1d.weight", (4, 128)),
               ("ssm_conv1d.bias", (128,)), ("ssm_x.weight", (128, 36)), ("ssm_dt.weight", (4, 128)),
               ("ssm_dt.bias", (128,)), ("ssm_a", (16, 128)), ("ssm_d", (128,)), ("ssm_out.weight", (128, HIDDEN))]))


class Reader:
    def __init__(self, data, at):
        self.data, self.at = data, at

    def take(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        length = self.take("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def value(self):
        kind = self.take("I")
        if kind == ARRAY:
            self.take("I")
            return [self.take("?") for _ in range(self.take("Q"))]
        return self.text() if kind == STRING else self.take({U32: "I", F32: "f", BOOL: "?"}[kind])


def load(path):
    """Metadata without the architecture in front, tensors as rows of values (vectors: values)."""
    with open(path, "rb") as stream:
        data = stream.read()
    reader = Reader(data, 8)
    tensor_count, pair_count = reader.take("Q"), reader.take("Q")
    pairs = {reader.text(): reader.value() for _ in range(pair_count)}
    entries = []
    for _ in range(tensor_count):
        name = reader.text()
        shape = [reader.take("Q") for _ in range(reader.take("I"))]
        entries.append((name, shape, TYPES[reader.take("I")], reader.take("Q")))
    begin, tensors = (reader.at + 31) // 32 * 32, {}
    for name, shape, kind, offset in entries:
        count, at = math.prod(shape), begin + offset
        if kind == "f32":
            values = struct.unpack_from(f"<{count}f", data, at)
        else:
            size = BLOCK_BYTES[kind]
            values = [v for i in range(count // 32) for v in read_block(kind, data[at + i * size:at + (i + 1) * size])]
        rows = [list(values[i:i + shape[0]]) for i in range(0, count, shape[0])]
        tensors[name] = rows if len(shape) > 1 else rows[0]
    architecture = pairs["general.architecture"]
    return architecture, {key.removeprefix(architecture + "."): value for key, value in pairs.items()}, tensors


# ---- formulas ----

def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def add(a, b, scale=1.0):
    return [x + scale * y for x, y in zip(a, b)]


def linear(rows, x, bias=None):
    y = [dot(row, x) for row in rows]
    return add(y, bias) if bias else y


def norm(x, weight, bias, eps, centred=False):
    """RMS where values are not centred."""
    mean = sum(x) / len(x) if centred else 0
    scale = 1 / math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + eps)
    y = [(v - mean) * scale * w for v, w in zip(x, weight)]
    return add(y, bias) if bias else y


def softmax(x):
    greatest = max(x)
    exponentials = [math.exp(v - greatest) for v in x]
    return [v / sum(exponentials) for v in exponentials]


def silu(x):
    return x / (1 + math.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


class Model:
    def __init__(self, path):
        self.name, self.pairs, self.tensors = load(path)
        self.eps = self.pairs.get("attention.layer_norm_rms_epsilon", self.pairs.get("attention.layer_norm_epsilon"))
        self.gemma = self.name.startswith("gemma")
        self.act = gelu if self.gemma or self.name in GELU else silu

    def get(self, layer, name):
        return self.tensors.get(f"blk.{layer}.{name}")

    def norm(self, x, name):
        weight = self.tensors.get(name + ".weight")
        centred = self.name in LAYER_NORMS
        return norm(x, weight, self.tensors.get(name + ".bias"), self.eps, centred) if weight else x

    def local(self, layer):
        period = {"gemma2": 2, "gemma3": 6}.get(self.name)
        pattern = self.pairs.get("attention.sliding_window_pattern", period)
        return pattern[layer] if isinstance(pattern, list) else pattern is not None and layer % pattern < pattern - 1

    def angle(self, i, n, position, layer):
        own = self.name == "gemma3" and self.local(layer)
        base = 10000.0 if own else self.pairs.get("rope.freq_base", 10000.0)
        factors = self.tensors.get("rope_freqs.weight") or self.tensors.get("rope_factors_short.weight")
        angle = position * base ** (-2 * i / n) / (factors[i] if factors else 1)
        factor = 1.0 if own else self.pairs.get("rope.scaling.factor", 1.0)
        if self.pairs.get("rope.scaling.type") != "yarn":
            return angle / factor
        def pair_of(turns):
            context = self.pairs["rope.scaling.original_context_length"]
            return n * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(base))
        first, last = max(0, math.floor(pair_of(32))), min(n - 1, math.ceil(pair_of(1)))
        ramp = min(1, max(0, (i - first) / max(0.001, last - first)))
        return angle * (ramp / factor + 1 - ramp)

    def rope(self, x, n, position, layer):
        y, scale = list(x), self.pairs.get("rope.scaling.attn_factor", 1.0)
        for i in range(n // 2):
            angle = self.angle(i, n, position, layer)
            a, b = (2 * i, 2 * i + 1) if self.name in NEIGHBOURS else (i, i + n // 2)
            cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
            y[a], y[b] = x[a] * cosine - x[b] * sine, x[a] * sine + x[b] * cosine
        return y

    def heads(self, x, position, layer):
        """q, k and v of a token, by head."""
        count, kv_count = self.pairs["attention.head_count"], self.pairs["attention.head_count_kv"]
        dim = self.pairs.get("attention.key_length", HIDDEN // count)
        fused = self.get(layer, "attn_qkv.weight")
        if fused:
            both = linear(fused, x, self.get(layer, "attn_qkv.bias"))
            parts = [both[:count * dim], both[count * dim:(count + kv_count) * dim], both[(count + kv_count) * dim:]]
        else:
            parts = [linear(self.get(layer, f"attn_{p}.weight"), x, self.get(layer, f"attn_{p}.bias")) for p in "qkv"]
        gates = []
        if len(parts[0]) > count * dim:  # of each head behind its query
            both = [parts[0][i:i + dim] for i in range(0, len(parts[0]), dim)]
            parts[0], gates = sum(both[::2], []), sum(both[1::2], [])
        for part, name in enumerate(("attn_q_norm.weight", "attn_k_norm.weight")):
            weight = self.get(layer, name)
            if weight and len(weight) > dim:  # one norm over all heads
                parts[part] = norm(parts[part], weight, None, self.eps)
        q, k, v = [[part[i:i + dim] for i in range(0, len(part), dim)] for part in parts]
        for part, name in ((q, "attn_q_norm.weight"), (k, "attn_k_norm.weight")):
            weight = self.get(layer, name)
            for i, head in enumerate(part):
                if weight and len(weight) == dim:
                    head = norm(head, weight, None, self.eps)
                without = self.name == "gpt2" or self.name == "smollm3" and layer % 4 == 3
                n = 0 if without else self.pairs.get("rope.dimension_count", dim)
                part[i] = self.rope(head, n, position, layer)
        return q, k, v, gates

    def latent_heads(self, x, position, layer):
        rope, rank = self.pairs["rope.dimension_count"], self.pairs["attention.kv_lora_rank"]
        dim, value = self.pairs["attention.key_length"], self.pairs["attention.value_length"]
        own, q = dim - rope, linear(self.get(layer, "attn_q.weight"), x)
        down = linear(self.get(layer, "attn_kv_a_mqa.weight"), x)
        latent = norm(down[:rank], self.get(layer, "attn_kv_a_norm.weight"), None, self.eps)
        shared = self.rope(down[rank:], rope, position, layer)
        heads = range(self.pairs["attention.head_count"])
        q = [q[h * dim:h * dim + own] + self.rope(q[h * dim + own:(h + 1) * dim], rope, position, layer) for h in heads]
        fused = self.get(layer, "attn_kv_b.weight")
        if fused:
            up = linear(fused, latent)
            k = [up[h * (own + value):h * (own + value) + own] + shared for h in heads]
            return q, k, [up[h * (own + value) + own:(h + 1) * (own + value)] for h in heads], []
        keys, values = self.get(layer, "attn_k_b.weight"), self.get(layer, "attn_v_b.weight")
        k = [[sum(keys[h * rank + r][i] * latent[r] for r in range(rank)) for i in range(own)] + shared for h in heads]
        return q, k, [linear(values[h * value:(h + 1) * value], latent) for h in heads], []

    def score_scale(self, dim):
        if self.name == "granite":
            return self.pairs["attention.scale"]
        multiplier = self.pairs.get("rope.scaling.yarn_log_multiplier", 0)
        return (1 + multiplier * math.log(self.pairs.get("rope.scaling.factor", 1))) ** 2 / math.sqrt(dim)

    def attention(self, inputs, layer):
        cut = self.latent_heads if self.name == "deepseek2" else self.heads
        tokens = [cut(x, position, layer) for position, x in enumerate(inputs)]
        outputs = []
        for position, (q, _, _, gates) in enumerate(tokens):
            first = max(0, position + 1 - self.pairs["attention.sliding_window"]) if self.local(layer) else 0
            seen, out = tokens[first:position + 1], []
            for h, query in enumerate(q):
                kv = h * len(seen[0][1]) // len(q)
                scores = [dot(query, k[kv]) * self.score_scale(len(query)) for _, k, _, _ in seen]
                if self.name == "gemma2":
                    scores = [50 * math.tanh(score / 50) for score in scores]
                weights = softmax(scores)
                out += [dot(weights, column) for column in zip(*(v[kv] for _, _, v, _ in seen))]
            out = [v / (1 + math.exp(-gate)) for v, gate in zip(out, gates)] if gates else out
            outputs.append(linear(self.get(layer, "attn_output.weight"), out, self.get(layer, "attn_output.bias")))
        return outputs

    def gated(self, x, gate, up, down):
        return linear(down, [self.act(g) * u for g, u in zip(linear(gate, x), linear(up, x))])

    def experts(self, x, layer):
        scores, sigmoid = linear(self.get(layer, "ffn_gate_inp.weight"), x), self.name in ("glm4moe", "minimax-m2")
        scores = [1 / (1 + math.exp(-v)) for v in scores] if sigmoid else softmax(scores)
        choice = add(scores, self.get(layer, "exp_probs_b.bias") or [0.0] * EXPERTS)
        chosen = sorted(range(EXPERTS), key=lambda e: -choice[e])[:self.pairs["expert_used_count"]]
        total = sum(scores[e] for e in chosen) if sigmoid or self.name in NORMALISED else 1
        total /= self.pairs.get("expert_weights_scale", 1.0)
        stacks = [self.get(layer, f"ffn_{p}_exps.weight") for p in ("gate", "up", "down")]
        out = [0.0] * HIDDEN
        for e in chosen:
            parts = [stack[e * len(stack) // EXPERTS:(e + 1) * len(stack) // EXPERTS] for stack in stacks]
            out = add(out, self.gated(x, *parts), scores[e] / total)
        shared = [self.get(layer, f"ffn_{p}_shexp.weight") for p in ("gate", "up", "down")]
        if shared[0]:
            switch = self.get(layer, "ffn_gate_inp_shexp.weight")
            out = add(out, self.gated(x, *shared), 1 / (1 + math.exp(-dot(switch, x))) if switch else 1)
        return out

    def feed_forward(self, x, layer):
        if self.get(layer, "ffn_gate_inp.weight"):
            return self.experts(x, layer)
        gate, up, down = (self.get(layer, f"ffn_{p}.weight") for p in ("gate", "up", "down"))
        if gate:
            return self.gated(x, gate, up, down)
        if self.name in ("phi3", "chatglm", "glm4"):
            return self.gated(x, up[:len(up) // 2], up[len(up) // 2:], down)
        hidden = [self.act(v) for v in linear(up, x, self.get(layer, "ffn_up.bias"))]
        return linear(down, hidden, self.get(layer, "ffn_down.bias"))

    def block(self, xs, layer):
        prefix, scale = f"blk.{layer}.", self.pairs.get("residual_scale", 1.0)
        inputs = [self.norm(x, prefix + "attn_norm") for x in xs]
        mixes = inputs if not self.get(layer, "attn_norm_2.weight") else [self.norm(x, prefix + "attn_norm_2") for x in xs]
        before, behind = prefix + "ffn_norm", prefix + "post_attention_norm"
        if not self.get(layer, "ffn_norm.weight") and not self.get(layer, "post_ffw_norm.weight"):  # the name only
            before, behind = behind, "none"
        outputs = []
        mixer = self.delta_net if self.get(layer, "ssm_norm.weight") else self.attention
        for x, read, mixed in zip(xs, inputs, mixer(mixes, layer)):
            x = add(x, self.norm(mixed, behind), scale)
            read = read if self.name in SIDE_BY_SIDE else self.norm(x, before)
            outputs.append(add(x, self.norm(self.feed_forward(read, layer), prefix + "post_ffw_norm"), scale))
        return outputs

    def mamba(self, xs, layer):
        inner, states = self.pairs["ssm.inner_size"], self.pairs["ssm.state_size"]
        rank, width = self.pairs["ssm.time_step_rank"], self.pairs["ssm.conv_kernel"]
        weight = {p: self.get(layer, "ssm_" + p) for p in ("conv1d.weight", "conv1d.bias", "a", "d", "dt.bias")}
        state, window, outputs = [[0.0] * states for _ in range(inner)], [[0.0] * inner] * (width - 1), []
        for x in xs:
            both = linear(self.get(layer, "ssm_in.weight"), self.norm(x, f"blk.{layer}.attn_norm"))
            window = window[-(width - 1):] + [both[:inner]]
            u = [silu(dot(weight["conv1d.weight"][c], [row[c] for row in window]) + weight["conv1d.bias"][c])
                 for c in range(inner)]
            low = linear(self.get(layer, "ssm_x.weight"), u)
            b, c_ = low[rank:rank + states], low[rank + states:]
            steps = linear(self.get(layer, "ssm_dt.weight"), low[:rank], weight["dt.bias"])
            y = []
            for c, step in enumerate(steps):
                step = math.log1p(math.exp(step))
                state[c] = [s * math.exp(step * a) + step * bn * u[c] for s, a, bn in zip(state[c], weight["a"][c], b)]
                y.append((dot(state[c], c_) + weight["d"][c] * u[c]) * silu(both[inner + c]))
            outputs.append(add(x, linear(self.get(layer, "ssm_out.weight"), y)))
        return outputs

    def delta_parts(self, x, layer):
        """q, k and v in one, z, beta and decay, all by head; which key head a value head has."""
        keys, heads = self.pairs["ssm.group_count"], self.pairs["ssm.time_step_rank"]
        key, shared = self.pairs["ssm.state_size"], heads // keys
        def by_key_head(values, *sizes):
            each, starts = sum(sizes), [sum(sizes[:i]) for i in range(len(sizes))]
            return [sum((values[h * each + at:h * each + at + size] for h in range(keys)), [])
                    for at, size in zip(starts, sizes)]
        old, both = self.get(layer, "ssm_in.weight"), self.get(layer, "ssm_ba.weight")
        if old:
            q, k, v, z = by_key_head(linear(old, x), key, key, shared * key, shared * key)
            qkv = q + k + v
        else:
            qkv, z = linear(self.get(layer, "attn_qkv.weight"), x), linear(self.get(layer, "attn_gate.weight"), x)
        if both:
            return qkv, z, *by_key_head(linear(both, x), shared, shared), [h // shared for h in range(heads)]
        gates = [linear(self.get(layer, f"ssm_{p}.weight"), x) for p in ("beta", "alpha")]
        return qkv, z, *gates, [h % keys for h in range(heads)]

    def delta_net(self, inputs, layer):
        keys, size = self.pairs["ssm.group_count"], self.pairs["ssm.state_size"]
        conv, a = self.get(layer, "ssm_conv1d.weight"), self.get(layer, "ssm_a")
        states = [[[0.0] * size for _ in range(size)] for _ in a]  # [head][value][key]
        window, outputs = [[0.0] * len(conv)] * (len(conv[0]) - 1), []
        for x in inputs:
            qkv, z, beta, decay, key_of = self.delta_parts(x, layer)
            window = window[-(len(conv[0]) - 1):] + [qkv]
            u = [silu(dot(taps, [row[c] for row in window])) for c, taps in enumerate(conv)]
            parts = [u[i:i + size] for i in range(0, len(u), size)]
            unit = [[v / math.sqrt(dot(p, p) + 1e-6) for v in p] for p in parts[:2 * keys]]
            y = []
            for h, state in enumerate(states):
                q, k, values = unit[key_of[h]], unit[keys + key_of[h]], parts[2 * keys + h]
                kept = math.exp(a[h] * math.log1p(math.exp(decay[h] + self.get(layer, "ssm_dt.bias")[h])))
                for i, value in enumerate(values):
                    state[i] = [s * kept for s in state[i]]
                    state[i] = add(state[i], k, (value - dot(k, state[i])) / (1 + math.exp(-beta[h])))
                out = norm([dot(q, s) / math.sqrt(size) for s in state], self.get(layer, "ssm_norm.weight"), None, self.eps)
                y += [v * silu(gate) for v, gate in zip(out, z[h * size:(h + 1) * size])]
            outputs.append(linear(self.get(layer, "ssm_out.weight"), y))
        return outputs

    def mamba2(self, xs, layer):
        inner, states, width = (self.pairs["ssm." + key] for key in ("inner_size", "state_size", "conv_kernel"))
        heads, groups = self.pairs["ssm.time_step_rank"], self.pairs["ssm.group_count"]
        weight = {p: self.get(layer, "ssm_" + p) for p in ("conv1d.weight", "conv1d.bias", "a", "d", "dt.bias")}
        dim, channels = inner // heads, inner + 2 * groups * states
        state, window, outputs = [[0.0] * states for _ in range(inner)], [[0.0] * channels] * (width - 1), []
        for x in xs:
            both = linear(self.get(layer, "ssm_in.weight"), self.norm(x, f"blk.{layer}.attn_norm"))
            window = window[-(width - 1):] + [both[inner:inner + channels]]
            u = [silu(dot(weight["conv1d.weight"][c], [row[c] for row in window]) + weight["conv1d.bias"][c])
                 for c in range(channels)]
            y = []
            for c in range(inner):
                head = c // dim
                at = inner + head // (heads // groups) * states
                b, c_ = u[at:at + states], u[at + groups * states:at + (groups + 1) * states]
                step = math.log1p(math.exp(both[inner + channels + head] + weight["dt.bias"][head]))
                kept = math.exp(step * weight["a"][head][0])
                state[c] = [s * kept + step * bn * u[c] for s, bn in zip(state[c], b)]
                y.append((dot(state[c], c_) + weight["d"][head][0] * u[c]) * silu(both[c]))
            size = inner // groups
            y = sum((norm(y[g * size:(g + 1) * size], w, None, self.eps)
                     for g, w in enumerate(self.get(layer, "ssm_norm.weight"))), [])
            outputs.append(add(x, linear(self.get(layer, "ssm_out.weight"), y)))
        return outputs

    def logits(self, tokens):
        scale = math.sqrt(HIDDEN) if self.gemma else self.pairs.get("embedding_scale", 1.0)
        xs = [[v * scale for v in self.tensors["token_embd.weight"][token]] for token in tokens]
        if self.name == "gpt2":
            xs = [add(x, self.tensors["position_embd.weight"][i]) for i, x in enumerate(xs)]
        step = {"mamba": self.mamba, "mamba2": self.mamba2}.get(self.name, self.block)
        for layer in range(self.pairs["block_count"]):
            xs = step(xs, layer)
        head = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        rows = [linear(head, self.norm(x, "output_norm"), self.tensors.get("output.bias")) for x in xs]
        if self.name == "gemma2":
            rows = [[30 * math.tanh(v / 30) for v in row] for row in rows]
        scale = self.pairs.get("logit_scale", 1.0)
        scale = scale if self.name == "command-r" else 1 / scale
        return [[v * scale for v in row] for row in rows]


def compare(path, npy):
    with open(npy, "rb") as stream:
        data = stream.read()
    begin = 10 + struct.unpack_from("<H", data, 8)[0]
    found = struct.unpack_from(f"<{TOKENS * VOCAB}f", data, begin)  # generated tokens' follow
    expected = [v for row in Model(path).logits(range(1, TOKENS + 1)) for v in row]
    deviation = math.sqrt(sum(v * v for v in expected) / len(expected))
    print(f"{max(abs(a - b) for a, b in zip(found, expected)) / deviation:.3g}")


if sys.argv[1] == "write":
    write_all(sys.argv[2])
else:
    compare(sys.argv[2], sys.argv[3])
