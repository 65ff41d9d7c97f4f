"""U-Boot's environment for a box that nobody interrupts: the defaults of a U-Boot binary with some of them changed.

    environment.py U-BOOT.BIN NAME=VALUE… >TEXT

A stored environment replaces the built-in one whole, so that the built-in one is the base. `NAME=` leaves a variable out.
"""

import sys

BINARY = sys.argv[1]
CHANGES = dict(change.split("=", 1) for change in sys.argv[2:])
with open(BINARY, "rb") as file:
    binary = file.read()
# The defaults are one run of `NAME=VALUE\0` and end with an empty one.
begin = binary.find(b"bootcmd=bootflow scan")
if begin < 0 or binary.find(b"bootcmd=bootflow scan", begin + 1) >= 0:
    sys.exit(f"{BINARY}: its built-in environment was not found")
# What stands in front of bootcmd belongs to it as well.
while True:
    before = binary.rfind(b"\0", 0, begin - 1)
    if b"=" not in binary[before + 1 : begin - 1] or not binary[before + 1 : begin - 1].isascii():
        break
    begin = before + 1
end = binary.index(b"\0\0", begin)
variables = dict(text.decode("ascii").split("=", 1) for text in binary[begin:end].split(b"\0"))
variables.update(CHANGES)
for name, value in sorted(variables.items()):
    if value:
        print(f"{name}={value}")
