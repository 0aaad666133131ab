#!/usr/bin/env python3
"""Lines that the tests of a coverage build ran, per folder: coverage.py BUILD (built with -DPV_COVERAGE=ON, tests run)."""
import collections
import json
import os
import subprocess
import sys

SOURCE = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
ROOTS = ("apps", "lab", "runtime", "viz")


def counters(build):
    for folder, _, names in os.walk(build):
        for name in names:
            if name.endswith(".gcno"):
                yield os.path.join(folder, name)


def main():
    lines = collections.defaultdict(dict)  # file -> line -> times run
    for path in counters(os.path.abspath(sys.argv[1])):
        text = subprocess.run(["gcov", "--json-format", "--stdout", path], capture_output=True, text=True, check=True).stdout
        for document in filter(None, text.splitlines()):
            for file in json.loads(document)["files"]:
                name = os.path.relpath(os.path.join(SOURCE, file["file"]), SOURCE)
                if name.split("/")[0] in ROOTS:
                    for line in file["lines"]:
                        known = lines[name].get(line["line_number"], 0)
                        lines[name][line["line_number"]] = max(known, line["count"])
    folders = collections.defaultdict(lambda: [0, 0])
    for name, counts in lines.items():
        for key in (os.path.dirname(name), "all"):
            folders[key][0] += sum(1 for count in counts.values() if count)
            folders[key][1] += len(counts)
    if not folders:
        print("nothing was built for coverage in " + sys.argv[1])
        return 1
    print(f"{'folder':32} {'lines':>7} {'run':>7} {'share':>7}")
    for key in sorted(folders, key=lambda key: (key == "all", key)):
        run, total = folders[key]
        print(f"{key:32} {total:7} {run:7} {100 * run / total:6.1f}%")
    return 0


if __name__ == "__main__":
    sys.exit(main())
