"""Sees that a device of a tree can be driven before there is a root: what it refers to is in the kernel or in the initrd.

    suppliers.py TREE.dtb SYMBOL ALIASES BUILTIN ORDER

SYMBOL names the device in the tree's /__symbols__, ALIASES is modules.alias of all of the kernel's modules, BUILTIN its
modules.builtin.modinfo, ORDER the initrd's list of modules. Linux does not probe a device before its suppliers (clocks,
supplies, GPIOs, pins, resets, power domains, mailboxes) and the buses above it are there. Fails with what is missing.
"""

import re
import struct
import sys

# Property → the supplier's own property that says how many cells follow its handle.
CELLS = {
    "clocks": "clock", "resets": "reset", "power-domains": "power-domain", "dmas": "dma", "mboxes": "mbox", "iommus": "iommu",
    "phys": "phy", "pwms": "pwm", "interrupts-extended": "interrupt", "gpios": "gpio", "gpio": "gpio",
}


def parse(tree):
    """Path → {property: bytes} of a flattened tree."""
    _, _, structure, strings = struct.unpack_from(">4I", tree)
    nodes, stack, at = {}, [], structure
    while True:
        (token,) = struct.unpack_from(">I", tree, at)
        at += 4
        if token == 1:
            end = tree.index(b"\0", at)
            stack.append(tree[at:end].decode())
            at = (end + 4) & ~3
            nodes["/".join(stack) or "/"] = {}
        elif token == 2:
            stack.pop()
        elif token == 3:
            length, name = struct.unpack_from(">2I", tree, at)
            end = tree.index(b"\0", strings + name)
            nodes["/".join(stack) or "/"][tree[strings + name : end].decode()] = tree[at + 8 : at + 8 + length]
            at = (at + 8 + length + 3) & ~3
        elif token == 9:
            return nodes


def cells(value):
    return struct.unpack(f">{len(value) // 4}I", value)


def words(value):
    return [word.decode() for word in value.split(b"\0") if word]


def references(nodes, handles, path):
    """Paths that a node refers to as suppliers, and the nodes above it."""
    for name, value in nodes[path].items():
        kind = next((cell for end, cell in CELLS.items() if name == end or (end[:4] == "gpio" and name.endswith("-" + end))), None)
        if name.endswith("-supply") or re.fullmatch(r"pinctrl-\d+", name) or name == "interrupt-parent":
            for handle in cells(value):
                yield handles[handle]
        elif kind:
            rest = list(cells(value))
            while rest:
                handle = rest.pop(0)
                if handle:
                    yield handles[handle]
                    rest = rest[cells(nodes[handles[handle]][f"#{kind}-cells"])[0] :]
    while path.rpartition("/")[0]:
        path = path.rpartition("/")[0]
        yield path


def compatible_of(alias):
    found = re.match(r"of:N\*T\*C(.*?)(C\*)?$", alias)
    return found and found[1]


def main():
    tree, symbol, aliases, builtin, order = sys.argv[1:]
    with open(tree, "rb") as file:
        nodes = parse(file.read())
    handles = {cells(node["phandle"])[0]: path for path, node in nodes.items() if "phandle" in node}
    modules, built_in = {}, set()
    with open(aliases, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("alias of:"):
                _, alias, module = line.split()
                modules.setdefault(compatible_of(alias), set()).add(module)
    with open(builtin, "rb") as file:
        for text in file.read().decode("utf-8", "replace").split("\0"):
            name, _, alias = text.partition(".alias=")
            if alias.startswith("of:"):
                built_in.add(compatible_of(alias))
    with open(order, encoding="utf-8") as lines:
        loaded = {line.split(".", 1)[0].replace("-", "_") for line in lines}
    todo, seen = [words(nodes["/__symbols__"][symbol])[0]], set()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo.extend(references(nodes, handles, path))
    missing, drivers = set(), set()
    for path in seen:
        names = words(nodes[path].get("compatible", b""))
        # What is neither (fixed clocks, interrupt controllers) is in the kernel without a driver of its own.
        wanted = set().union(*(modules.get(name, set()) for name in names))
        if any(name in built_in for name in names) or not wanted:
            continue
        if wanted & loaded:
            drivers |= wanted & loaded
        else:
            missing.add(f"{path} ({', '.join(names)}) wants {' or '.join(sorted(wanted))}")
    if missing:
        sys.exit(f"{tree.rpartition('/')[2]}: the initrd cannot drive {symbol}: " + "; ".join(sorted(missing)))
    print(*sorted(drivers))


main()
