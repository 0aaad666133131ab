#!/usr/bin/env python3
"""Predicts milliseconds a decoded token from bytes and dispatches, and prints the tables of docs/performance.md.

time = bytes read / (SHARE x published bandwidth) + dispatches x DISPATCH_US. Everything that is assumed stands here.
"""

SHARE = 0.8  # of the published bandwidth that kernels reach
DISPATCH_US = 4.0  # one dispatch and the barrier before it
DISPATCHES = {"dense": 7, "masked": 8}  # a layer; 4 more a token (tests/infer/test_modes.c)
CONTEXT = 1024  # tokens whose keys and values are read, as float16
DRAFT, ACCEPT = 4, 0.8  # lossless: tokens drafted a round, and how often one is right

CARDS = [  # published GB/s
    ("GeForce RTX 4060", 272),
    ("GeForce RTX 4090", 1008),
    ("Radeon RX 7600", 288),
    ("Radeon RX 7900 XTX", 960),
    ("Arc A580", 512),
    ("Arc A770 16 GB", 560),
]

# bits a weight on the device
F16, Q8, Q4_K, Q6_K = 16.0, 8.5, 4.5, 7.0


def model(name, d, f, layers, heads, kv_heads, vocab, matrices, types, active, masked, more=0.0):
    """types: bits of attention, of up (and gate), of down, of the output matrix; more: dispatches a layer."""
    attention, up, down, output = types
    head = 128
    return {
        "name": name,
        "layers": layers,
        "attention": layers * (2 * d * heads * head + 2 * d * kv_heads * head) * attention / 8,
        "up": layers * (matrices - 1) * d * f * up / 8,
        "down": layers * d * f * down / 8,
        "output": vocab * d * output / 8,
        "cache": layers * 2 * kv_heads * head * CONTEXT * 2,
        "gated": matrices == 3,
        "active": active,
        "masked": masked,
        "more": more,
    }


MODELS = [
    model("AFM-4.5B, F16", 2560, 18432, 36, 20, 4, 128005, 2, (F16, F16, F16, F16), 0.1, 0.1),
    model("AFM-4.5B, Q8_0", 2560, 18432, 36, 20, 4, 128005, 2, (Q8, Q8, Q8, Q8), 0.1, 0.1),
    model("Minitron-4B, Q8_0", 3072, 9216, 32, 24, 8, 256000, 2, (Q8, Q8, Q8, Q8), 0.1, 0.1, 2),  # layer norms
    model("SwiGLU 8B, Q4_K_M", 4096, 14336, 32, 32, 8, 128256, 3, (Q4_K, Q4_K, Q6_K, Q6_K), None, 0.5, 0.5),  # v often in Q6_K
]


def ways(m):
    """Bytes a token: (dense, zeros skipped or None, masked)."""
    other = m["attention"] + m["output"] + m["cache"]
    dense = other + m["up"] + m["down"]
    zeros = None
    if m["active"] is not None:
        gate = m["up"] / 2 if m["gated"] else m["up"]
        zeros = other + gate + m["active"] * (m["up"] - gate + m["down"])
    return dense, zeros, other + m["masked"] * (m["up"] + m["down"])


def ms(n_bytes, bandwidth, m, way):
    dispatches = (DISPATCHES[way] + m["more"]) * m["layers"] + 4
    return n_bytes / (SHARE * bandwidth * 1e6) + dispatches * DISPATCH_US / 1e3


def main():
    tokens = (1 - ACCEPT ** (DRAFT + 1)) / (1 - ACCEPT)  # a round, the dense model's own one with them
    for m in MODELS:
        dense, zeros, masked = ways(m)
        shown = "" if zeros is None else f", zeros skipped {zeros / 1e9:.2f} GB"
        print(f"\n**{m['name']}**: a token reads {dense / 1e9:.2f} GB dense{shown}, masked at {m['masked']:g} {masked / 1e9:.2f} GB.\n")
        print("| card | GB/s | dense | zeros skipped | masked | lossless |")
        print("|---|---|---|---|---|---|")
        for card, bandwidth in CARDS:
            d = ms(dense, bandwidth, m, "dense")
            k = ms(masked, bandwidth, m, "masked")
            z = "" if zeros is None else f"{ms(zeros, bandwidth, m, 'dense'):.1f}"
            print(f"| {card} | {bandwidth} | {d:.1f} | {z} | {k:.1f} | {(DRAFT * k + d) / tokens:.1f} |")


main()
