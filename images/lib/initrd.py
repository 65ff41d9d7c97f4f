"""Puts the initrd of a box together: programs of its tree with their libraries, the modules that it boots with.

    initrd.py TREE RELEASE OUT MODULE… -- PROGRAM…

TREE is the unpacked system with its modules (RELEASE, indexed by depmod), OUT an empty folder. MODULE names are loaded in
their order, each after what it needs; one that is built in is left out.
"""

import os
import shutil
import subprocess
import sys

LIBRARIES = ("usr/lib/aarch64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib")


def needed(path):
    """Names of the libraries and of the loader that a program asks for."""
    said = subprocess.run(["readelf", "-W", "-l", "-d", path], check=True, capture_output=True, text=True).stdout
    for line in said.splitlines():
        if "(NEEDED)" in line:
            yield line.rsplit("[", 1)[1].rstrip("]")
        elif "program interpreter:" in line:
            yield os.path.basename(line.rsplit(":", 1)[1].strip(" ]"))


def add_with_libraries(path, folder, seen):
    real = os.path.realpath(path)
    name = os.path.basename(path)
    if name in seen:
        return
    seen.add(name)
    shutil.copy(real, os.path.join(folder, name))
    for library in needed(real):
        found = [at for at in (os.path.join(TREE, part, library) for part in LIBRARIES) if os.path.exists(at)]
        if not found:
            sys.exit(f"{name} needs {library}, which the tree does not have")
        add_with_libraries(found[0], os.path.join(OUT, "lib"), seen)


def modules_in_order():
    """Paths below the modules' folder, each after what it needs."""
    below = os.path.join(TREE, "usr/lib/modules", RELEASE)
    needs, by_name = {}, {}
    with open(os.path.join(below, "modules.dep"), encoding="utf-8") as lines:
        for line in lines:
            path, rest = line.split(":", 1)
            needs[path] = rest.split()
            by_name[os.path.basename(path).split(".", 1)[0].replace("-", "_")] = path
    with open(os.path.join(below, "modules.builtin"), encoding="utf-8") as lines:
        built_in = {os.path.basename(line.strip()).split(".", 1)[0].replace("-", "_") for line in lines}
    order = []

    def add(path):
        if path in order:
            return
        for other in reversed(needs[path]):
            add(other)
        order.append(path)

    for module in MODULES:
        name = module.replace("-", "_")
        if name in by_name:
            add(by_name[name])
        elif name not in built_in:
            sys.exit(f"Linux {RELEASE} has no module {module}")
    return [os.path.join(below, path) for path in order]


def main():
    for folder in ("bin", "lib", "modules", "dev", "proc", "sys", "run", "root"):
        os.makedirs(os.path.join(OUT, folder))
    seen = set()
    for program in PROGRAMS:
        add_with_libraries(os.path.join(TREE, program), os.path.join(OUT, "bin"), seen)
    with open(os.path.join(OUT, "modules/order"), "w", encoding="utf-8") as order:
        for path in modules_in_order():
            name = os.path.basename(path)
            if name.endswith(".xz"):
                name = name[: -len(".xz")]
                with open(os.path.join(OUT, "modules", name), "wb") as out:
                    subprocess.run(["xz", "-dc", path], check=True, stdout=out)
            else:
                shutil.copy(path, os.path.join(OUT, "modules", name))
            order.write(name + "\n")


split = sys.argv.index("--")
TREE, RELEASE, OUT = sys.argv[1:4]
MODULES, PROGRAMS = sys.argv[4:split], sys.argv[split + 1 :]
main()
