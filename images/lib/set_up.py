"""Gives an unpacked tree what the packages' own scripts made in a tree of this machine's kind.

    set_up.py LIKE FOLDER FROM TO

LIKE was set up by its packages' scripts, FOLDER (the same packages, of another architecture) only unpacked. Every path of
LIKE that no package owns (accounts, links to alternatives, certificates, enabled units) is copied; FROM and TO are the
multiarch names in paths and links. Modes and owners that scripts changed are carried over too.
"""

import os
import shutil
import stat
import sys

LEFT_OUT = (
    "boot dev proc run sys tmp etc/apt etc/hostname etc/ld.so.cache etc/machine-id etc/resolv.conf var/cache var/lib/apt "
    "var/lib/dpkg var/log etc/.pwd.lock etc/passwd- etc/group- etc/shadow- etc/gshadow- usr/lib/udev/hwdb.bin.new"
).split()
MERGED = ("bin", "sbin", "lib", "lib64")


def merged(path):
    """A path as it is in a merged /usr."""
    first = path.split("/", 1)[0]
    return "usr/" + path if first in MERGED and "/" in path else path


def owned(tree):
    """Every path that a package of the tree brought."""
    paths = set()
    info = os.path.join(tree, "var/lib/dpkg/info")
    for name in os.listdir(info):
        if name.endswith(".list"):
            with open(os.path.join(info, name), encoding="utf-8") as lines:
                paths.update(merged(line.strip().lstrip("/")) for line in lines)
    return paths


def left_out(path):
    return any(path == out or path.startswith(out + "/") for out in LEFT_OUT)


def take_over(like, to, found):
    """Copies one path, which may be there already."""
    if stat.S_ISLNK(found.st_mode):
        if os.path.lexists(to):
            os.unlink(to)
        os.symlink(os.readlink(like).replace(FROM, TO), to)
        os.lchown(to, found.st_uid, found.st_gid)
        return
    if stat.S_ISDIR(found.st_mode):
        os.makedirs(to, exist_ok=True)
    elif stat.S_ISREG(found.st_mode):
        shutil.copyfile(like, to)
    else:
        return
    os.chown(to, found.st_uid, found.st_gid)
    os.chmod(to, stat.S_IMODE(found.st_mode))


def main():
    of_packages = owned(LIKE)
    copied = 0
    for folder, folders, files in os.walk(LIKE):
        inside = os.path.relpath(folder, LIKE)
        inside = "" if inside == "." else inside + "/"
        folders[:] = sorted(name for name in folders if not left_out(inside + name))
        for name in folders + sorted(files):
            path = inside + name
            if left_out(path):
                continue
            like = os.path.join(LIKE, path)
            to = os.path.join(FOLDER, path.replace(FROM, TO))
            found = os.lstat(like)
            if path not in of_packages:
                take_over(like, to, found)
                copied += 1
            elif os.path.lexists(to) and not stat.S_ISLNK(found.st_mode):
                os.chown(to, found.st_uid, found.st_gid)
                os.chmod(to, stat.S_IMODE(found.st_mode))
    print(f"{copied} paths taken over")


LIKE, FOLDER, FROM, TO = sys.argv[1:]
main()
