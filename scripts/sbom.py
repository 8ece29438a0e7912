"""The software bill of materials of a release binary, as CycloneDX 1.6 JSON.

    scripts/sbom.py --version V --arch A --binary FILE --sources SOURCES.tsv

It lists the libraries that are linked in, as SOURCES.tsv of their prefix names
them: version, where the source came from, its SHA-256, licence. Equal input
gives equal bytes, so it tells no time. To standard output.
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys
import urllib.parse
import uuid

# By SPDX identifier.
LICENCES = {"zlib": "Zlib", "zlib-ng": "Zlib", "c-ares": "MIT", "openssl": "Apache-2.0",
            "jansson": "MIT", "libxml2": "MIT", "curl": "curl"}
OWN_LICENCE = "Apache-2.0"


def sha256(digest):
    return [{"alg": "SHA-256", "content": digest}]


def licence(spdx):
    return [{"license": {"id": spdx}}]


def quote(text):
    return urllib.parse.quote(text, safe=".-_~")


def purl(name, version, origin):
    """The package URL of a source, by the words of fetch.sh about it."""
    if match := re.fullmatch(r"source package ([^ ,]+)(, .*)?", origin):
        # Ubuntu marks what it changed; the rest is Debian's, byte by byte.
        distro = "ubuntu" if "ubuntu" in match[1] else "debian"
        return f"pkg:deb/{distro}/{name}@{quote(match[1])}?arch=source"
    if match := re.fullmatch(r"crate (.+?)-([0-9].*)", origin):
        return f"pkg:cargo/{match[1]}@{quote(match[2])}"
    if origin.startswith("https://"):
        return (f"pkg:generic/{name}@{quote(version)}"
                f"?download_url={quote(origin)}")
    if origin.startswith("file "):
        return f"pkg:generic/{name}@{quote(version)}"
    raise ValueError(f"unknown origin of {name}: {origin}")


def component(line):
    name, version, origin, digest = line.split("\t")
    # It may stand in for zlib.
    if name == "zlib" and re.search("zlib-ng|libz-ng", origin):
        name = "zlib-ng"
    if name not in LICENCES:
        raise ValueError(f"the licence of {name} is not known here")
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{name}: {digest} is not a SHA-256")
    where = purl(name, version, origin)
    return {
        "type": "library", "bom-ref": where, "name": name, "version": version,
        "licenses": licence(LICENCES[name]), "purl": where,
        "externalReferences": [{
            "type": "source-distribution", "url": where,
            "comment": origin, "hashes": sha256(digest)}],
    }


def bill(version, arch, binary, lines):
    libraries = [component(line) for line in lines]
    itself = f"pkg:generic/ec2sweep@{quote(version)}?arch={quote(arch)}"
    digest = hashlib.sha256(binary).hexdigest()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, digest).urn,
        "version": 1,
        "metadata": {"component": {
            "type": "application", "bom-ref": itself, "name": "ec2sweep",
            "version": version, "licenses": licence(OWN_LICENCE),
            "purl": itself, "hashes": sha256(digest)}},
        "components": libraries,
        "dependencies": [
            {"ref": itself,
             "dependsOn": [library["bom-ref"] for library in libraries]},
            *({"ref": library["bom-ref"]} for library in libraries)],
    }


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("version", "arch"):
        options.add_argument(f"--{name}", required=True)
    for name in ("binary", "sources"):
        options.add_argument(f"--{name}", required=True, type=pathlib.Path)
    asked = options.parse_args()
    try:
        made = bill(asked.version, asked.arch, asked.binary.read_bytes(),
                    asked.sources.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        sys.exit(f"sbom.py: {error}")
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
