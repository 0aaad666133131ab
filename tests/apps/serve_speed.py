"""Tokens a second of a server, one answer at a time and several at once: serve_speed.py URL [N [TOKENS]]."""
import json
import sys
import threading
import time
import urllib.request

url, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8
n_tokens = int(sys.argv[3]) if len(sys.argv) > 3 else 100
STARTS = ["Once upon a time", "A fox", "The old king said", "In the forest", "A crow sat on", "There was a", "Two brothers", "One day"]


def answer(i, counts):
    body = {"prompt": STARTS[i % len(STARTS)], "max_tokens": n_tokens, "temperature": 0}
    request = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        counts[i] = json.load(response)["usage"]["completion_tokens"]


def measure(n_at_once):
    counts = [0] * n_at_once
    threads = [threading.Thread(target=answer, args=(i, counts)) for i in range(n_at_once)]
    began = time.time()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return sum(counts) / (time.time() - began)


measure(n)  # shaders are compiled
for _ in range(3):
    one, many = measure(1), measure(n)
    print(f"1: {one:.1f} tok/s, {n}: {many:.1f} tok/s, {many / one:.2f} times")
