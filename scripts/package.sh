#!/bin/sh
# Packs a bootstrap for Lambda: scripts/package.sh BOOTSTRAP OUT.zip
#
# Equal input gives equal bytes: one entry, `bootstrap`, mode 0755, with a
# fixed time and no extra fields. python3 with its zipfile does the work.
set -eu

[ $# -eq 2 ] || {
    echo "usage: package.sh BOOTSTRAP OUT.zip" >&2
    exit 2
}
command -v python3 >/dev/null || {
    echo "package.sh: python3 is needed to write the zip" >&2
    exit 1
}
[ -f "$1" ] || {
    echo "package.sh: no file $1" >&2
    exit 1
}

mkdir -p "$(dirname "$2")"
python3 - "$1" "$2.new" <<'END'
import sys
import zipfile

source, target = sys.argv[1:]
entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
entry.create_system = 3  # Unix, so that the mode counts
entry.external_attr = 0o100755 << 16
entry.compress_type = zipfile.ZIP_DEFLATED
with open(source, "rb") as file, zipfile.ZipFile(target, "w") as out:
    out.writestr(entry, file.read(), compresslevel=9)
END
mv "$2.new" "$2"
