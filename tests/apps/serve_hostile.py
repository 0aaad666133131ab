"""What no client should send: hostile.py PORT. Every request must end with an error or a closed connection, and the server
must answer afterwards. The server has --timeout 2."""
import json
import socket
import sys
import time

PORT = int(sys.argv[1])
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def connect():
    s = socket.create_connection(("127.0.0.1", PORT), timeout=20)
    return s


def answer(data, end=False):
    """The status of the answer; 0 where the connection was closed without one."""
    s = connect()
    try:
        s.sendall(data)
        if end:
            s.shutdown(socket.SHUT_WR)
        got = s.recv(65536)
    except (ConnectionError, BrokenPipeError):
        got = b""
    s.close()
    return int(got.split()[1]) if got.startswith(b"HTTP/1.") else 0


def post(body):
    return answer(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def healthy():
    assert answer(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200


def expect(what, got, *allowed):
    assert got in allowed, f"{what}: {got} instead of {allowed}"
    healthy()


# HTTP that is none, or too much of it.
expect("no HTTP", answer(b"\x00\xff\xfe garbage\r\n\r\n"), 0, 400)
expect("no version", answer(b"GET /health\r\n\r\n", end=True), 0, 400, 505)
expect("no host", answer(b"GET /health HTTP/1.1\r\n\r\n"), 400)
expect("a long header", answer(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200000 + b"\r\n\r\n"), 0, 431, 413, 414)
expect("a long address", answer(b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"), 0, 431, 414)
expect("a length that is none", answer(HEAD + b"Content-Length: -5\r\n\r\n"), 0, 400, 413)
expect("a length out of range", answer(HEAD + b"Content-Length: 99999999999999999999\r\n\r\n"), 0, 400, 413)
expect("a method", answer(b"BREW /v1/completions HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405)
# A body without an end.
s = connect()
s.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
sent = 0
try:
    while sent < 64 << 20:
        s.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        sent += 65536
except ConnectionError:
    pass
s.close()
assert sent < 64 << 20, "an endless body is read on and on"
healthy()
# JSON.
for what, body in {
    "brackets": b"[" * 900000,
    "objects": b'{"a":' * 150000,
    "10,000 stop strings": json.dumps({"prompt": "a", "stop": ["x%d" % i for i in range(10000)]}).encode(),
    "a stop string of 100,000 bytes": json.dumps({"prompt": "a", "stop": "x" * 100000}).encode(),
    "bytes that are no UTF-8": b'{"prompt": "\xc3\x28"}',
    "a lone surrogate": b'{"prompt": "\\ud800"}',
    "a number out of range": b'{"prompt": "a", "max_tokens": 1e400}',
    "no number": b'{"prompt": "a", "temperature": NaN}',
    "n": b'{"prompt": "a", "n": 1000000000}',
    "tokens that are none": b'{"prompt": [-1, 4294967296]}',
    "biases": json.dumps({"prompt": "a", "logit_bias": {str(i): 1 for i in range(50000)}}).encode(),
    "messages": json.dumps({"prompt": 5, "messages": [{"role": "user"}] * 20000}).encode(),
}.items():
    expect(what, post(body), 400)
expect("control characters", post(json.dumps({"prompt": "".join(map(chr, range(1, 160))), "max_tokens": 1}).encode()), 200)
# Many connections that say nothing, and one that says a byte at a time: they are closed, and others are answered meanwhile.
idle = [connect() for _ in range(200)]
slow = connect()
began = time.time()
closed = None
while time.time() - began < 15 and closed is None:
    try:
        slow.sendall(b"G" if time.time() - began < 0.2 else b"E")
        slow.settimeout(0.3)
        if slow.recv(1000) is not None:
            closed = time.time() - began
    except socket.timeout:
        pass
    except ConnectionError:
        closed = time.time() - began
assert closed is not None, "a request that never comes keeps its connection"
healthy()
for s in idle:
    s.close()
healthy()
print("all refused")
