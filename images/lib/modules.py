"""Removes the kernel modules that a box has no use for.

    modules.py FOLDER PATTERN…

FOLDER is /usr/lib/modules/RELEASE, indexed by depmod. What matches a PATTERN (a regular expression from the beginning of
the path below kernel/) stays, with everything it needs.
"""

import os
import re
import sys


def main():
    needs = {}
    with open(os.path.join(FOLDER, "modules.dep"), encoding="utf-8") as lines:
        for line in lines:
            path, rest = line.split(":", 1)
            needs[path] = rest.split()
    with open(os.path.join(FOLDER, "modules.builtin"), encoding="utf-8") as lines:
        built_in = [line.strip() for line in lines]
    keep = set()
    for pattern in PATTERNS:
        matching = [path for path in needs if re.match("kernel/" + pattern, path)]
        if not matching and not any(re.match("kernel/" + pattern, path) for path in built_in):
            sys.exit(f"no module matches {pattern}")
        keep.update(matching)
    for path in list(keep):
        keep.update(needs[path])
    for path in needs:
        if path not in keep:
            os.unlink(os.path.join(FOLDER, path))
    for folder, _, _ in os.walk(FOLDER, topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)
    print(f"{len(keep)} of {len(needs)} modules stay")


FOLDER = sys.argv[1]
PATTERNS = sys.argv[2:]
main()
