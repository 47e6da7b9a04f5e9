#!/usr/bin/env python3
"""What does it take to serve Llama-3.1-8B on one H100? Asked twice from Python, with the standard library alone:
of the program, which prints JSON, and of librafter.so, which answers thousands of questions a second on a plan.

    python3 examples/estimate.py        # once rafter is installed
    RAFTER=./rafter RAFTER_LIBRARY=./librafter.so RAFTER_PATH=. python3 examples/estimate.py        # in a checkout
"""

import ctypes
import json
import os
import subprocess
import sys

QUESTION = {"model": "llama-3.1-8b", "device": "h100-sxm", "batch": 8, "prompt": 1024, "output": 256}


def ask_program(question):
    """The answer of `rafter estimate --json` (docs/schemas.md has its keys)."""
    command = [os.environ.get("RAFTER", "rafter"), "estimate", "--json"]
    for option, value in question.items():
        command += [f"--{option}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 2:  # 0 and 1 are answers: it fits, it does not
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


# The structs of rafter.h, ABI version 1: the same fields in the same order.
class Question(ctypes.Structure):
    _fields_ = (
        [("struct_size", ctypes.c_size_t)]
        + [(name, ctypes.c_char_p) for name in ("model", "device", "software", "workload")]
        + [(name, ctypes.c_int) for name in ("devices", "tp", "pp", "ep", "dp", "sequence_parallel", "micro_batches")]
        + [(name, ctypes.c_double) for name in ("batch", "prompt", "output")]
        + [(name, ctypes.c_char_p) for name in ("weights", "activations", "kv")]
        + [("techniques", ctypes.POINTER(ctypes.c_char_p)), ("technique_count", ctypes.c_size_t)]
        + [("settings", ctypes.POINTER(ctypes.c_char_p)), ("setting_count", ctypes.c_size_t)]
        + [("threads", ctypes.c_int)]
    )


class Answer(ctypes.Structure):
    _fields_ = (
        [("struct_size", ctypes.c_size_t)]
        + [(name, ctypes.c_double) for name in ("ttft_s", "tpot_s", "latency_s")]
        + [(name, ctypes.c_double) for name in ("ttft_low_s", "ttft_high_s", "tpot_low_s", "tpot_high_s")]
        + [("throughput_tokens_per_s", ctypes.c_double)]
        + [(name, ctypes.c_double) for name in ("weights_bytes", "kv_bytes", "activation_bytes", "reserved_bytes")]
        + [(name, ctypes.c_double) for name in ("total_bytes", "capacity_bytes")]
        + [("fits", ctypes.c_int), ("devices", ctypes.c_int)]
        + [(name, ctypes.c_double) for name in ("energy_j", "cost_usd", "carbon_kg")]
    )


RAFTER_ERROR = 2


class Rafter:
    """An open library; `with Rafter() as rafter:` closes it."""

    def __init__(self):
        library = ctypes.CDLL(os.environ.get("RAFTER_LIBRARY", "librafter.so.1"))
        if library.rafter_abi_version() != 1:
            raise RuntimeError("this file was written for ABI version 1 of librafter")
        pointer, number = ctypes.c_void_p, ctypes.c_double
        question, answer = ctypes.POINTER(Question), ctypes.POINTER(Answer)
        for name, result, arguments in (
            ("rafter_open", pointer, [ctypes.c_char_p]),
            ("rafter_close", None, [pointer]),
            ("rafter_error", ctypes.c_char_p, [pointer]),
            ("rafter_estimate", ctypes.c_int, [pointer, question, answer]),
            ("rafter_plan_new", pointer, [pointer, question]),
            ("rafter_plan_free", None, [pointer]),
            ("rafter_plan_estimate", ctypes.c_int, [pointer, number, number, number, answer]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        self.library = library
        self.handle = library.rafter_open(None)
        if not self.handle:
            raise MemoryError("rafter_open")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.library.rafter_close(self.handle)

    def error(self):
        return RuntimeError(self.library.rafter_error(self.handle).decode())

    @staticmethod
    def question(fields):
        texts = {key: value.encode() if isinstance(value, str) else value for key, value in fields.items()}
        return Question(struct_size=ctypes.sizeof(Question), **texts)

    def estimate(self, **fields):
        answer = Answer()
        status = self.library.rafter_estimate(self.handle, self.question(fields), answer)
        if status == RAFTER_ERROR:
            raise self.error()
        return answer

    def sweep(self, batches, **fields):
        """Answers for several batches, on one plan."""
        plan = self.library.rafter_plan_new(self.handle, self.question(fields))
        if not plan:
            raise self.error()
        try:
            for batch in batches:
                answer = Answer()
                status = self.library.rafter_plan_estimate(plan, batch, fields["prompt"], fields["output"], answer)
                if status == RAFTER_ERROR:
                    raise self.error()
                yield batch, answer
        finally:
            self.library.rafter_plan_free(plan)


def main():
    answer = ask_program(QUESTION)
    print(f"program: {1e3 * answer['ttft_s']:.3f} ms to the first token, {1e3 * answer['tpot_s']:.4f} ms per token,",
          f"{answer['memory']['total_bytes'] / 1e9:.3f} GB")
    with Rafter() as rafter:
        answer = rafter.estimate(**QUESTION)
        print(f"library: {1e3 * answer.ttft_s:.3f} ms to the first token, {1e3 * answer.tpot_s:.4f} ms per token,",
              f"{answer.total_bytes / 1e9:.3f} GB")
        print(f"{'batch':>8} {'TPOT ms':>12} {'tokens/s':>16}")
        for batch, answer in rafter.sweep([1, 4, 16, 64, 256], **QUESTION):
            print(f"{batch:8d} {1e3 * answer.tpot_s:12.3f} {answer.throughput_tokens_per_s:16.1f}"
                  + ("" if answer.fits else "  does not fit"))


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError) as problem:
        sys.exit(f"estimate.py: {problem}")
