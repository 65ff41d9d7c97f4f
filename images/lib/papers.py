"""What an image is made of: an SPDX document and the licences, beside the image.

    papers.py BOARD VERSION OUT ROOT LIKE FFMPEG MEDIAMTX TREE=LOCK[,NAME…] …

OUT is the folder of BOARD.spdx.json and BOARD.licences.txt, ROOT the box's root as a folder, LIKE the set-up tree of this
machine's kind with dpkg's list, FFMPEG the folder with sources.txt and copyright, MEDIAMTX the program. Of each unpacked
TREE the packages of its LOCK are listed: those with a file left in ROOT, or the named ones (`*` at the end is any ending).
SOURCE_DATE_EPOCH is the time that is written; nothing else but the arguments goes in.
"""

import fnmatch
import glob
import hashlib
import json
import os
import re
import sys
import time
import urllib.parse
import uuid

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Debian's short names beside SPDX's; a + behind a version is -or-later.
SPDX = {
    "expat": "MIT", "mit": "MIT", "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "isc": "ISC", "zlib": "Zlib",
    "bsd-4-clause": "BSD-4-Clause", "apache-2.0": "Apache-2.0", "cc0-1.0": "CC0-1.0", "cc0": "CC0-1.0", "mpl-2.0": "MPL-2.0",
    "0bsd": "0BSD", "openssl": "OpenSSL", "curl": "curl", "fsfap": "FSFAP", "fsful": "FSFUL", "fsfullr": "FSFULLR", "x11": "X11",
    "artistic": "Artistic-1.0-Perl", "ftl": "FTL", "unlicense": "Unlicense", "wtfpl": "WTFPL", "bsl-1.0": "BSL-1.0",
}
GNU = re.compile(r"(AGPL|LGPL|GPL|GFDL)-(\d+(?:\.\d+)?)(\+|-only|-or-later)?$", re.IGNORECASE)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class Licences:
    """Licences that SPDX has no name for, with their texts."""

    def __init__(self):
        self.texts = {}

    def expression(self, name, texts):
        """SPDX's way of one licence of a copyright file."""
        parts = re.split(r"\s+(and/or|or|and)\s+|\s*,\s*(?:and\s+)?", name.strip(), flags=re.IGNORECASE)
        joined = [self.one(parts[0], texts)]
        for word, part in zip(parts[1::2], parts[2::2]):
            joined += ["OR" if (word or "and").lower() != "and" else "AND", self.one(part, texts)]
        return joined[0] if len(joined) == 1 else "(" + " ".join(joined) + ")"

    def one(self, name, texts):
        found = GNU.match(name.strip())
        if found:
            kind, version, later = found.groups()
            version = version if "." in version else version + ".0"
            return f"{kind.upper()}-{version}-{'only' if later in (None, '-only') else 'or-later'}"
        if name.strip().lower() in SPDX:
            return SPDX[name.strip().lower()]
        # Two packages may mean different texts by one name.
        text = texts.get(name.strip(), "").strip() or "as the package's copyright file says"
        short = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-") or "unnamed"
        reference = f"LicenseRef-Debian-{short}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        self.texts[reference] = text
        return reference

    def of_copyright(self, copyright):
        """The licences of a package, of its copyright file, or None where that is not for machines."""
        if not re.match(r"\s*Format(-Specification)?:", copyright):
            return None
        found, texts = [], {}
        for paragraph in re.split(r"\n[ \t]*\n", copyright):
            fields = dict(re.findall(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE))
            if "License" in fields:
                name, _, text = fields["License"].strip().partition("\n")
                name = " ".join(name.split())
                if text.strip() and len(text) > len(texts.get(name, "")):
                    texts[name] = text
                if "Files" in fields and name:
                    found.append(name)
        said = {self.expression(name, texts) for name in found}
        return " AND ".join(sorted(said)) or None


def sources(status):
    """Package → name of its source package, of a dpkg status."""
    found = {}
    for paragraph in status.split("\n\n"):
        name = re.search(r"^Package: (.*)$", paragraph, re.MULTILINE)
        source = re.search(r"^Source: (\S+)", paragraph, re.MULTILINE)
        if name:
            found[name[1]] = source[1] if source else name[1]
    return found


def left(like, root, name):
    """Whether a package has a file in the root that is neither its copyright nor a folder."""
    lists = glob.glob(f"{like}/var/lib/dpkg/info/{name}.list") + glob.glob(f"{like}/var/lib/dpkg/info/{name}:*.list")
    for path in (line for file in lists for line in read(file).splitlines()):
        path = path.replace("x86_64-linux-gnu", "aarch64-linux-gnu").replace("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
        full = root + path
        if os.path.lexists(full) and (os.path.islink(full) or not os.path.isdir(full)):
            return True
    # A package of the board alone is not in LIKE.
    return not lists


def debian(argument, root, like, licences):
    """(SPDX package, copyright) for each package of a tree."""
    tree, _, rest = argument.partition("=")
    lock, *wanted = rest.split(",")
    source_of = sources(read(f"{like}/var/lib/dpkg/status"))
    copyrights = {os.path.basename(os.path.dirname(path)): path for path in sorted(glob.glob(f"{tree}/usr/share/doc/*/copyright"))}
    same_source, same_version = {}, {}
    rows = read(lock).splitlines()
    for name, _, version, _ in map(str.split, rows):
        if name in copyrights:
            same_source.setdefault(source_of.get(name, name), name)
            same_version.setdefault(version, name)
    for line in rows:
        name, arch, version, digest = line.split()
        if wanted:
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted):
                continue
        elif not left(like, root, name):
            continue
        source = source_of.get(name, name)
        # Some packages link to another one's folder.
        path = copyrights.get(name) or copyrights.get(same_source.get(source) or same_version.get(version))
        text = read(path) if path else ""
        yield package(
            f"deb-{name}", name, version, licences.of_copyright(text),
            f"pkg:deb/debian/{name}@{urllib.parse.quote(version, safe='')}?arch={arch}", digest,
        ), text


def package(identity, name, version, licence, purl, sha256=None, download="NOASSERTION"):
    found = {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", identity.replace("+", "plus")),
        "name": name,
        "versionInfo": version,
        "downloadLocation": download,
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence or "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }
    if sha256:
        found["checksums"] = [{"algorithm": "SHA256", "checksumValue": sha256}]
    return found


def crates(version):
    """Our program and the crates in it: images/lock/crates.txt for the licences, Cargo.lock for the hashes."""
    digests = {}
    for block in read(f"{HERE}/../Cargo.lock").split("[[package]]"):
        fields = dict(re.findall(r'^(name|version|checksum) = "(.*)"$', block, re.MULTILINE))
        if "name" in fields:
            digests[fields["name"], fields["version"]] = fields.get("checksum")
    ours = re.search(r'^license = "(.*)"$', read(f"{HERE}/../Cargo.toml"), re.MULTILINE)
    yield package("fieldcam", "fieldcam", version, ours and ours[1], f"pkg:generic/fieldcam@{version}")
    for line in read(f"{HERE}/lock/crates.txt").splitlines():
        name, release, licence = line.split(" ", 2)
        if (name, release) not in digests:
            sys.exit(f"images/lock/crates.txt names {name} {release}, which Cargo.lock does not: write it anew")
        yield package(
            f"crate-{name}-{release}", name, release, licence.replace("/", " OR "), f"pkg:cargo/{name}@{release}",
            digests[name, release], f"https://static.crates.io/crates/{name}/{name}-{release}.crate",
        )


def go(program):
    """MediaMTX and the modules that are linked into it, as the program itself says."""
    with open(program, "rb") as file:
        binary = file.read()
    begin = binary.find(bytes.fromhex("3077af0c9274080241e1c107e6d618e6"))
    end = binary.find(bytes.fromhex("f932433186182072008242104116d8f2"), begin)
    lines = binary[begin + 16 : end].decode("utf-8", "replace").split("\n") if begin >= 0 else []
    modules = [line.split("\t") for line in lines if line.startswith(("mod\t", "dep\t"))]
    if not any(words[1] == "github.com/bluenviron/mediamtx" for words in modules):
        sys.exit(f"{program} does not say what it is made of")
    compiler = re.search(rb"go1\.\d+(\.\d+)?", binary)
    if compiler:
        found = compiler[0].decode()
        yield package("go-stdlib", "Go", found[2:], "BSD-3-Clause", f"pkg:golang/stdlib@{found[2:]}")
    wanted = re.search(r"^version=(v.*)$", read(f"{HERE}/../scripts/get-mediamtx"), re.MULTILINE)[1]
    for words in sorted(modules):
        name, version = words[1], words[2]
        if name == "github.com/bluenviron/mediamtx":
            digest = hashlib.sha256(binary).hexdigest()
            yield package("mediamtx", "MediaMTX", wanted, "MIT", f"pkg:golang/{name}@{wanted}", digest)
        elif not name.startswith("fieldcam/"):
            yield package(f"go-{name}-{version}", name, version, None, f"pkg:golang/{name}@{version}")


def ffmpeg(folder, licences):
    """FFmpeg's source package; the digest is the original archive's."""
    for line in read(f"{folder}/sources.txt").splitlines():
        digest, name = line.split()
        if name.endswith(".dsc"):
            version = name.split("_", 1)[1][: -len(".dsc")]
        elif ".orig.tar." in name and not name.endswith(".asc"):
            archive = digest
    # Configured with --enable-gpl, for libx264.
    return package(
        "ffmpeg", "ffmpeg", version, "GPL-2.0-or-later", f"pkg:deb/debian/ffmpeg@{urllib.parse.quote(version, safe='')}?arch=source",
        archive,
    )


def main():
    board, version, out, root, like, ffmpeg_folder, mediamtx = sys.argv[1:8]
    licences = Licences()
    of_debian = [pair for argument in sys.argv[8:] for pair in debian(argument, root, like, licences)]
    packages = [found for found, _ in of_debian]
    packages += [ffmpeg(ffmpeg_folder, licences), *crates(version), *go(mediamtx)]
    seen = {}
    for found in packages:
        seen.setdefault(found["SPDXID"], found)
    packages = [seen[identity] for identity in sorted(seen)]
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"])))
    image = package("image", f"fieldcam-{board}", version, None, f"pkg:generic/fieldcam-{board}@{version}")
    image["primaryPackagePurpose"] = "FIRMWARE"
    content = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"fieldcam-{board}-{version}",
        "documentNamespace": f"https://fieldcam.image/spdx/{board}/{uuid.uuid5(uuid.NAMESPACE_DNS, content)}",
        "creationInfo": {"created": made, "creators": ["Tool: fieldcam-images-build"]},
        "hasExtractedLicensingInfos": [
            {"licenseId": name, "extractedText": text, "name": name}
            for name, text in sorted(licences.texts.items())
        ],
        "packages": [image, *packages],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"},
            *(
                {"spdxElementId": "SPDXRef-image", "relationshipType": "CONTAINS", "relatedSpdxElement": found["SPDXID"]}
                for found in packages
            ),
        ],
    }
    with open(f"{out}/{board}.spdx.json", "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1, ensure_ascii=False)
        file.write("\n")

    texts = {}
    for found, text in of_debian:
        texts.setdefault(text, set()).add(f"{found['name']} {found['versionInfo']}")
    texts.setdefault(read(f"{ffmpeg_folder}/copyright"), set()).add("ffmpeg")
    with open(f"{out}/{board}.licences.txt", "w", encoding="utf-8") as file:
        file.write(f"What the image of {board} {version} is made of, and under which licences.\n\n")
        for found in packages:
            file.write(f"{found['name']} {found['versionInfo']}: {found['licenseDeclared']}\n")
        for names, text in sorted((sorted(names), text) for text, names in texts.items()):
            file.write(f"\n{'=' * 100}\n{', '.join(names)}\n{'=' * 100}\n{text or 'its folder has no copyright file'}\n")
        for path in sorted(glob.glob(f"{like}/usr/share/common-licenses/*")):
            if not os.path.islink(path):
                file.write(f"\n{'=' * 100}\n{os.path.basename(path)}\n{'=' * 100}\n{read(path)}\n")
    print(f"{len(packages)} parts, {sum(p['licenseDeclared'] == 'NOASSERTION' for p in packages)} without a licence for machines")


main()
