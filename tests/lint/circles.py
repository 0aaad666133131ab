#!/usr/bin/env python3
"""Finds circles in who needs whom: circles.py BUILD. "circles.py dot" draws what the folders include, for Graphviz.

A node is a source file with its header. That a part's header includes its owner's for a type is no fault; what counts is
that two files need each other's functions, so that neither can be read, tested or taken out alone. The objects of a build
say so: an edge leads to each file whose functions an object leaves undefined. Exits 1 if there is a circle, which is
printed with the functions that close it; folders of more than 20 files are listed.
"""
import collections
import os
import re
import subprocess
import sys

SOURCE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
ROOTS = ("apps", "lab", "runtime", "viz")


def sources():
    for root in ROOTS:
        for folder, _, names in os.walk(os.path.join(SOURCE, root)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), SOURCE)


def read_needs(build):
    """{file: {file it needs: a function}} of the objects in a build folder."""
    objects = {}
    for folder, _, names in os.walk(build):
        for name in names:
            path = os.path.join(folder, name)
            source = re.sub(r"CMakeFiles/[^/]*\.dir/", "", os.path.relpath(path, build)).removesuffix(".o")
            if os.path.exists(os.path.join(SOURCE, source)) and source.split("/")[0] in ROOTS:
                objects[path] = source
    newest = {}  # a build folder may hold objects of targets that are no more
    for path, source in sorted(objects.items(), key=lambda item: os.path.getmtime(item[0])):
        newest[source] = path
    objects = {path: source for source, path in newest.items()}
    listing = subprocess.run(["nm", "-A", "-g", *objects], capture_output=True, text=True, check=True).stdout
    defined, undefined, needs = {}, set(), collections.defaultdict(dict)
    for line in listing.splitlines():
        path, *_, kind, symbol = re.split(r":\s*| +", line)
        if kind == "U":
            undefined.add((objects[path], symbol))
        else:
            defined[symbol] = objects[path]
    for source, symbol in sorted(undefined):
        if defined.get(symbol, source) != source:
            needs[source].setdefault(defined[symbol], symbol)
    return needs


def circles(edges):
    """Each set of files of which every one reaches every other one."""

    def reach(start):
        seen, stack = set(), [start]
        while stack:
            for target in edges.get(stack.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
        return seen

    reached = {node: reach(node) for node in edges}
    left = sorted(node for node in edges if node in reached[node])
    while left:
        circle = [node for node in left if node in reached[left[0]] and left[0] in reached[node]]
        yield circle
        left = [node for node in left if node not in circle]


def draw():
    files = set(sources())
    edges = set()
    for path in files:
        with open(os.path.join(SOURCE, path), encoding="utf-8") as text:
            names = re.findall(r'^\s*#\s*include\s*"([^"]+)"', text.read(), re.M)
        for name in names:
            for folder in (os.path.dirname(path), "runtime", "runtime/include", *ROOTS, "."):
                target = os.path.normpath(os.path.join(folder, name))
                if target in files:
                    edges.add((os.path.dirname(path), os.path.dirname(target)))
                    break
    print("digraph includes {\n  rankdir=BT; node [shape=box, fontname=sans];")
    for folder, target in sorted(edges):
        if folder != target:
            print(f'  "{folder}" -> "{target}";')
    print("}")


def main():
    if sys.argv[1:] == ["dot"]:
        draw()
        return 0
    needs = read_needs(os.path.abspath(sys.argv[1]))
    if not needs:
        print(f"{sys.argv[1]} holds no objects")
        return 1
    found = list(circles(needs))
    for circle in found:
        print("circle of " + ", ".join(circle))
        for node in circle:
            for target in sorted(set(circle) & set(needs[node])):
                print(f"  {node} needs {needs[node][target]} of {target}")
    for folder, n in sorted(collections.Counter(os.path.dirname(f) for f in sources()).items()):
        if n > 20:
            print(f"{folder} holds {n} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
