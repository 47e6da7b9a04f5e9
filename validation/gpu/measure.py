#!/usr/bin/env python3
"""Times the operators of LLM inference on this machine's NVIDIA GPU and writes them as CSV files that
`rafter fit` and `rafter validate samples` read.

    python3 measure.py -o measured                      all families, about ten minutes
    python3 measure.py -o measured gemm attention       these only
    python3 measure.py --plan gemm                      what would be timed, without a GPU
    torchrun --nproc-per-node 8 measure.py -o measured collective

Needs PyTorch with CUDA. Kernels come from whatever is installed: flash_attn for attention (else PyTorch's own
scaled_dot_product_attention), vllm for mixtures of experts (else torch._grouped_mm), flash_mla for MLA decode,
fla and causal_conv1d for gated DeltaNet. What is not installed is left out and said so. The source column
names the library and its version, since another library's kernels take other times.

How a time is taken: the operator is captured REPEATS times in one CUDA graph, so that no host launch is in the
time; the graph is replayed until 20 ms have passed, five times over, and the median of the five means is
written. Operands are the same in every repeat, so that small ones stay in the L2 cache: rafter reckons with
that. Shapes are drawn with a fixed seed, evenly over the logarithm of each dimension; those that need more
than 60% of the GPU's memory are passed over. Nothing is written over until a family is complete.
"""
import argparse
import csv
import importlib
import os
import random
import sys
import tempfile

REPEATS = 8           # operators in one captured graph
WINDOW_MS = 20.0      # of one timing
WINDOWS = 5           # timings; the median counts
MEMORY_SHARE = 0.6    # of the GPU's memory that a shape's operands may take

COLUMNS = {
    "gemm": ["device", "source", "kernel", "dtype", "m", "n", "k", "time_us"],
    "attention": ["device", "source", "kernel", "phase", "dtype", "kv_dtype", "batch", "new_tokens", "context",
                  "heads", "kv_heads", "head_dim", "window", "time_us"],
    "moe": ["device", "source", "kernel_source", "moe_dtype", "num_tokens", "hidden_size", "inter_size", "topk",
            "num_experts", "moe_tp_size", "moe_ep_size", "distribution", "time_us"],
    "mla": ["device", "source", "kernel_source", "phase", "mla_dtype", "kv_cache_dtype", "num_heads", "batch_size",
            "isl", "step", "time_us"],
    "linear_attention": ["device", "source", "kernel_source", "phase", "batch_size", "seq_len", "d_model", "d_conv",
                         "num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim", "time_us"],
    "collective": ["device", "source", "mode", "op", "dtype", "num_gpus", "bytes", "time_us"],
}

BYTES = {"bfloat16": 2, "float16": 2, "fp8": 1, "int8": 1}

# Column counts and depths of the linear layers of common models: hidden, attention and MLP widths, whole and cut
# over 2 to 8 devices.
WIDTHS = [256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240,
          12288, 14336, 16384, 18432, 20480, 24576, 28672, 32768, 53248, 65536, 128256]
HEADS = [(32, 32), (32, 8), (64, 8), (40, 8), (28, 4), (16, 2), (8, 1), (16, 16), (8, 8), (48, 8), (12, 12), (64, 4)]
EXPERTS = [(4096, 14336, 2, 8), (6144, 16384, 2, 8), (2048, 768, 8, 128), (4096, 1536, 8, 128), (7168, 2048, 8, 256),
           (2048, 1408, 6, 64), (2880, 2880, 4, 128), (5120, 8192, 1, 16)]
DELTA_HEADS = [(2048, 4, 16, 128, 16, 128), (2048, 4, 16, 128, 32, 128), (4096, 4, 16, 128, 64, 128),
               (1024, 4, 16, 128, 16, 128), (2560, 4, 16, 128, 32, 128)]


def log_uniform(dice, least, most):
    """A whole number between least and most, evenly over orders of magnitude; a power of two half of the time."""
    value = least * (most / least) ** dice.random()
    if dice.random() < 0.5:
        power = 1
        while power * 2 <= value:
            power *= 2
        return max(least, power)
    return int(value)


# Plans: the rows of each family without device, source, kernel and time.

def plan_gemm(dice, count):
    for _ in range(count):
        yield {"dtype": dice.choice(["bfloat16", "bfloat16", "fp8", "sq"]), "m": log_uniform(dice, 1, 16384),
               "n": dice.choice(WIDTHS), "k": dice.choice(WIDTHS[:-2])}


def plan_attention(dice, count):
    for i in range(count):
        heads, kv_heads = dice.choice(HEADS)
        tokens = log_uniform(dice, 16, 32768)
        decode = i % 2 == 0
        yield {"phase": "decode" if decode else "prefill", "dtype": "bfloat16", "kv_dtype": "bfloat16",
               "batch": log_uniform(dice, 1, 256 if decode else 16), "new_tokens": 1 if decode else tokens,
               "context": tokens, "heads": heads, "kv_heads": kv_heads, "head_dim": dice.choice([64, 128, 128]),
               "window": 0}


def plan_moe(dice, count):
    for _ in range(count):
        hidden, inter, topk, experts = dice.choice(EXPERTS)
        yield {"moe_dtype": "bfloat16", "num_tokens": log_uniform(dice, 1, 16384), "hidden_size": hidden,
               "inter_size": inter, "topk": topk, "num_experts": experts, "moe_tp_size": dice.choice([1, 1, 2, 4, 8]),
               "moe_ep_size": 1, "distribution": "balanced"}


def plan_mla(dice, count):
    for i in range(count):
        decode = i % 2 == 0
        yield {"phase": "decode" if decode else "prefill", "mla_dtype": "bfloat16", "kv_cache_dtype": "bfloat16",
               "num_heads": dice.choice([16, 32, 64, 128]), "batch_size": log_uniform(dice, 1, 256 if decode else 8),
               "isl": log_uniform(dice, 16, 16384), "step": 1 if decode else 0}


def plan_linear_attention(dice, count):
    kernels = ["causal_conv1d_fn", "causal_conv1d_update", "chunk_gated_delta_rule", "fused_recurrent_gated_delta_rule"]
    for i in range(count):
        d_model, taps, k_heads, k_dim, v_heads, v_dim = dice.choice(DELTA_HEADS)
        kernel = kernels[i % len(kernels)]
        context = kernel in ("causal_conv1d_fn", "chunk_gated_delta_rule")
        yield {"kernel_source": kernel, "phase": "context" if context else "generation",
               "batch_size": log_uniform(dice, 1, 16 if context else 512),
               "seq_len": log_uniform(dice, 16, 16384) if context else 1, "d_model": d_model, "d_conv": taps,
               "num_k_heads": k_heads, "head_k_dim": k_dim, "num_v_heads": v_heads, "head_v_dim": v_dim}


def plan_collective(dice, count):
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    for op in ["all_reduce", "all_gather", "reduce_scatter", "alltoall"]:
        for power in range(9, 30):
            yield {"mode": "graph", "op": op, "dtype": "half", "num_gpus": ranks, "bytes": 2 ** power}


PLANS = {"gemm": plan_gemm, "attention": plan_attention, "moe": plan_moe, "mla": plan_mla,
         "linear_attention": plan_linear_attention, "collective": plan_collective}


# Bytes of the operands, to pass over what does not fit.

def gemm_bytes(row):
    size = BYTES["int8" if row["dtype"] == "sq" else row["dtype"]]
    return size * (row["m"] * row["k"] + row["k"] * row["n"]) + 4 * row["m"] * row["n"]


def attention_bytes(row):
    queries = row["batch"] * row["new_tokens"] * row["heads"] * row["head_dim"]
    keys = row["batch"] * row["context"] * row["kv_heads"] * row["head_dim"]
    return 2 * (2 * queries + 2 * keys)


def moe_bytes(row):
    weights = 3 * row["num_experts"] * row["hidden_size"] * row["inter_size"] // row["moe_tp_size"]
    return 2 * (weights + 4 * row["num_tokens"] * row["topk"] * max(row["hidden_size"], row["inter_size"]))


def mla_bytes(row):
    if row["phase"] == "decode":
        return 2 * row["batch_size"] * (row["isl"] + row["step"]) * 576
    return 2 * row["batch_size"] * row["isl"] * row["num_heads"] * (2 * 192 + 2 * 128)


def linear_attention_bytes(row):
    channels = 2 * row["num_k_heads"] * row["head_k_dim"] + row["num_v_heads"] * row["head_v_dim"]
    state = 4 * row["num_v_heads"] * row["head_k_dim"] * row["head_v_dim"]
    return row["batch_size"] * (row["seq_len"] * 6 * channels + 2 * state)


def collective_bytes(row):
    return 4 * row["bytes"]


SIZES = {"gemm": gemm_bytes, "attention": attention_bytes, "moe": moe_bytes, "mla": mla_bytes,
         "linear_attention": linear_attention_bytes, "collective": collective_bytes}


class NotHere(Exception):
    """A kernel that this machine's libraries do not have."""


def need(module):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotHere(f"{module} is not installed") from error


def version_of(module):
    return getattr(importlib.import_module(module), "__version__", "0").split("+")[0]


# Operators: each returns (source, kernel, function to time).

def gemm_operator(torch, row):
    m, n, k = row["m"], row["n"], row["k"]
    source = "torch " + version_of("torch")
    if row["dtype"] == "bfloat16":
        a = torch.randn(m, k, device="cuda", dtype=torch.bfloat16)
        b = torch.randn(n, k, device="cuda", dtype=torch.bfloat16)
        return source, "torch.nn.functional.linear", lambda: torch.nn.functional.linear(a, b)
    if row["dtype"] == "fp8":
        if torch.cuda.get_device_capability() < (8, 9):
            raise NotHere("no fp8 units on this GPU")
        if n % 16 or k % 16:
            raise NotHere("fp8 dimensions that are no multiple of 16")
        a = torch.randn(m, k, device="cuda").to(torch.float8_e4m3fn)
        b = torch.randn(n, k, device="cuda").to(torch.float8_e4m3fn)
        one = torch.ones((), device="cuda")
        return source, "torch._scaled_mm", lambda: torch._scaled_mm(a, b.t(), one, one, out_dtype=torch.bfloat16)
    if m <= 16 or n % 8 or k % 8:
        raise NotHere("torch._int_mm wants more than 16 rows and multiples of 8")
    a = torch.randint(-128, 127, (m, k), device="cuda", dtype=torch.int8)
    b = torch.randint(-128, 127, (n, k), device="cuda", dtype=torch.int8)
    return source, "torch._int_mm", lambda: torch._int_mm(a, b.t())


def attention_operator(torch, row):
    batch, new, context = row["batch"], row["new_tokens"], row["context"]
    heads, kv_heads, dim = row["heads"], row["kv_heads"], row["head_dim"]
    half = {"device": "cuda", "dtype": torch.bfloat16}
    try:
        flash = importlib.import_module("flash_attn")
    except ImportError:
        q = torch.randn(batch, heads, new, dim, **half)
        k = torch.randn(batch, kv_heads, context, dim, **half)
        v = torch.randn(batch, kv_heads, context, dim, **half)
        attend = torch.nn.functional.scaled_dot_product_attention
        return ("torch " + version_of("torch"), "scaled_dot_product_attention",
                lambda: attend(q, k, v, is_causal=new > 1, enable_gqa=heads != kv_heads))
    q = torch.randn(batch, new, heads, dim, **half)
    k = torch.randn(batch, context, kv_heads, dim, **half)
    v = torch.randn(batch, context, kv_heads, dim, **half)
    source = "flash_attn " + version_of("flash_attn")
    if row["phase"] == "decode":
        lengths = torch.full((batch,), context, device="cuda", dtype=torch.int32)
        return source, "flash_attn_with_kvcache", lambda: flash.flash_attn_with_kvcache(
            q, k, v, cache_seqlens=lengths, causal=True)
    return source, "flash_attn_func", lambda: flash.flash_attn_func(q, k, v, causal=True)


def moe_operator(torch, row):
    tokens, hidden, experts, topk = row["num_tokens"], row["hidden_size"], row["num_experts"], row["topk"]
    inter = row["inter_size"] // row["moe_tp_size"]
    half = {"device": "cuda", "dtype": torch.bfloat16}
    x = torch.randn(tokens, hidden, **half)
    # balanced: tokens take the experts in turn
    chosen = (torch.arange(tokens * topk, device="cuda") % experts).reshape(tokens, topk)
    weights = torch.full((tokens, topk), 1.0 / topk, device="cuda", dtype=torch.float32)
    up = torch.randn(experts, 2 * inter, hidden, **half) * 0.02
    down = torch.randn(experts, hidden, inter, **half) * 0.02
    try:
        fused = importlib.import_module("vllm.model_executor.layers.fused_moe.fused_moe")
        return ("vllm " + version_of("vllm"), "vllm_fused_moe",
                lambda: fused.fused_experts(x, up, down, weights, chosen.to(torch.int32)))
    except ImportError:
        pass
    if not hasattr(torch, "_grouped_mm") or torch.cuda.get_device_capability() < (9, 0):
        raise NotHere("neither vllm nor torch._grouped_mm")
    order = torch.argsort(chosen.flatten(), stable=True)
    ends = torch.cumsum(torch.bincount(chosen.flatten(), minlength=experts), 0).to(torch.int32)
    up_columns, down_columns = up.transpose(1, 2), down.transpose(1, 2)

    def run():
        rows = x[order // topk]
        gate, value = torch._grouped_mm(rows, up_columns, offs=ends).chunk(2, dim=-1)
        torch._grouped_mm(torch.nn.functional.silu(gate) * value, down_columns, offs=ends)

    return "torch " + version_of("torch"), "torch._grouped_mm", run


def mla_operator(torch, row):
    batch, heads, context = row["batch_size"], row["num_heads"], row["isl"] + row["step"]
    half = {"device": "cuda", "dtype": torch.bfloat16}
    if row["phase"] == "prefill":
        q = torch.randn(batch, heads, context, 192, **half)
        k = torch.randn(batch, heads, context, 192, **half)
        v = torch.randn(batch, heads, context, 128, **half)
        attend = torch.nn.functional.scaled_dot_product_attention
        return ("torch " + version_of("torch"), "scaled_dot_product_attention",
                lambda: attend(q, k, v, is_causal=True))
    flash = need("flash_mla")
    pages = (context + 63) // 64
    cache = torch.randn(batch * pages, 64, 1, 576, **half)
    table = torch.arange(batch * pages, device="cuda", dtype=torch.int32).reshape(batch, pages)
    lengths = torch.full((batch,), context, device="cuda", dtype=torch.int32)
    q = torch.randn(batch, 1, heads, 576, **half)
    metadata, splits = flash.get_mla_metadata(lengths, heads, 1)
    return ("flash_mla " + version_of("flash_mla"), "flash_mla_with_kvcache",
            lambda: flash.flash_mla_with_kvcache(q, cache, table, lengths, 512, metadata, splits, causal=True))


def linear_attention_operator(torch, row):
    batch, tokens, taps = row["batch_size"], row["seq_len"], row["d_conv"]
    k_heads, k_dim, v_heads, v_dim = (row[c] for c in ("num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim"))
    channels = 2 * k_heads * k_dim + v_heads * v_dim
    half = {"device": "cuda", "dtype": torch.bfloat16}
    if row["kernel_source"].startswith("causal_conv1d"):
        conv = need("causal_conv1d")
        weight = torch.randn(channels, taps, **half)
        source = "causal_conv1d " + version_of("causal_conv1d")
        if row["phase"] == "context":
            x = torch.randn(batch, tokens, channels, **half).transpose(1, 2)
            return source, row["kernel_source"], lambda: conv.causal_conv1d_fn(x, weight, activation="silu")
        x = torch.randn(batch, channels, **half)
        state = torch.randn(batch, channels, taps - 1, **half)
        return source, row["kernel_source"], lambda: conv.causal_conv1d_update(x, state, weight, activation="silu")
    rule = need("fla.ops.gated_delta_rule")
    q = torch.nn.functional.normalize(torch.randn(batch, tokens, v_heads, k_dim, **half), dim=-1)
    k = torch.nn.functional.normalize(torch.randn(batch, tokens, v_heads, k_dim, **half), dim=-1)
    v = torch.randn(batch, tokens, v_heads, v_dim, **half)
    beta = torch.rand(batch, tokens, v_heads, **half)
    decay = -torch.rand(batch, tokens, v_heads, device="cuda")
    state = torch.zeros(batch, v_heads, k_dim, v_dim, device="cuda")
    function = getattr(rule, row["kernel_source"])
    return ("fla " + version_of("fla"), row["kernel_source"],
            lambda: function(q, k, v, g=decay, beta=beta, initial_state=state, output_final_state=True))


def collective_operator(torch, row):
    dist, ranks = torch.distributed, row["num_gpus"]
    count = row["bytes"] // 2
    whole = torch.ones(max(count, ranks), device="cuda", dtype=torch.float16)
    part = torch.ones(max(count // ranks, 1), device="cuda", dtype=torch.float16)
    whole = whole[:part.numel() * ranks]
    other = torch.empty_like(whole)
    version = ".".join(str(v) for v in torch.cuda.nccl.version())
    run = {"all_reduce": lambda: dist.all_reduce(whole),
           "all_gather": lambda: dist.all_gather_into_tensor(whole, part),
           "reduce_scatter": lambda: dist.reduce_scatter_tensor(part, whole),
           "alltoall": lambda: dist.all_to_all_single(other, whole)}[row["op"]]
    return "nccl " + version, "", run


OPERATORS = {"gemm": gemm_operator, "attention": attention_operator, "moe": moe_operator, "mla": mla_operator,
             "linear_attention": linear_attention_operator, "collective": collective_operator}


def time_us(torch, run):
    """Median over WINDOWS of the mean time of one run, in microseconds, out of a captured graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(REPEATS):
            run()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def replay(times):
        begin.record()
        for _ in range(times):
            graph.replay()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    times = max(1, min(1000, int(WINDOW_MS / max(replay(1), 1e-3))))
    means = sorted(replay(times) / times for _ in range(WINDOWS))
    return 1e3 * means[WINDOWS // 2] / REPEATS


def measure_row(torch, family, row):
    source, kernel, run = OPERATORS[family](torch, row)
    row = dict(row, source=source)
    row["kernel" if "kernel" in COLUMNS[family] else "kernel_source"] = row.get("kernel_source", kernel)
    row["time_us"] = f"{time_us(torch, run):.5g}"
    return row


def measure_family(torch, family, rows, limit_bytes, progress):
    """Rows with times, and how many were left out for which reason."""
    done, left_out = [], {}
    for i, row in enumerate(rows):
        progress(family, i, len(rows))
        try:
            if SIZES[family](row) > limit_bytes:
                raise NotHere("larger than the GPU's memory allows")
            done.append(measure_row(torch, family, row))
        except NotHere as reason:
            left_out[str(reason)] = left_out.get(str(reason), 0) + 1
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            reason = f"the library refused: {str(error).splitlines()[0][:100] if str(error) else type(error).__name__}"
            left_out[reason] = left_out.get(reason, 0) + 1
            torch.cuda.synchronize()
    return done, left_out


def write_csv(path, family, device, rows):
    """Beside the file first, then in its place: a broken run leaves the old file whole."""
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, newline="") as file:
        writer = csv.DictWriter(file, COLUMNS[family], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(dict(row, device=device))
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)


def plan(family, seed, count):
    return list(PLANS[family](random.Random(f"{family} {seed}"), count))


def print_plan(families, seed, count):
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for family in families:
        names = [c for c in COLUMNS[family] if c not in ("device", "source", "kernel", "time_us")]
        writer.writerow(["family"] + names)
        for row in plan(family, seed, count):
            writer.writerow([family] + [row.get(name, "") for name in names])


def show_progress(family, done, all_rows):
    if sys.stderr.isatty():
        print(f"\r{family}: {done} of {all_rows}  ", end="", file=sys.stderr, flush=True)


def run_families(torch, arguments, rank):
    limit = MEMORY_SHARE * torch.cuda.get_device_properties(0).total_memory
    device = arguments.device_name or torch.cuda.get_device_name(0).removeprefix("NVIDIA ").replace(" ", "-")
    os.makedirs(arguments.output, exist_ok=True)
    for family in arguments.families:
        rows = plan(family, arguments.seed, arguments.rows)
        progress = show_progress if rank == 0 else lambda *_: None
        done, left_out = measure_family(torch, family, rows, limit, progress)
        if rank != 0:
            continue
        path = os.path.join(arguments.output, family + ".csv")
        if done:
            write_csv(path, family, device, done)
        print(f"\r{family}: {len(done)} rows" + (f" in {path}" if done else ", nothing written"))
        for reason, number in left_out.items():
            print(f"  {number} left out: {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(PLANS))
    parser.add_argument("-o", "--output", default="measured", help="folder of the CSV files")
    parser.add_argument("--rows", type=int, default=400, help="rows a family (collectives: all sizes)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device-name", help="for the device column; default: the driver's name, such as H100-80GB-HBM3")
    parser.add_argument("--plan", action="store_true", help="print the shapes and measure nothing")
    arguments = parser.parse_args()
    unknown = [family for family in arguments.families if family not in PLANS]
    if unknown:
        parser.error(f"no family {unknown[0]}; there are {', '.join(PLANS)}")
    distributed = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not arguments.families:
        arguments.families = [f for f in PLANS if f != "collective"]
    if arguments.plan:
        print_plan(arguments.families, arguments.seed, arguments.rows)
        return 0
    try:
        import torch
    except ImportError:
        print("measure.py: PyTorch is not installed; --plan shows what would be timed", file=sys.stderr)
        return 2
    if not torch.cuda.is_available():
        print("measure.py: PyTorch sees no CUDA device; --plan shows what would be timed", file=sys.stderr)
        return 2
    if "collective" in arguments.families and not distributed:
        print("measure.py: collectives need torchrun --nproc-per-node N", file=sys.stderr)
        return 2
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    torch.cuda.set_device(rank)
    if distributed:
        torch.distributed.init_process_group("nccl")
    with torch.no_grad():
        run_families(torch, arguments, rank)
    if distributed:
        torch.distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
