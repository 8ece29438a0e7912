#!/bin/bash
# Puts together what deploys without a compiler and without `sam build`:
# scripts/dist.sh ZIP ARCH DIR
#
# DIR/ARCH gets the zip and the templates, which name it and know that
# architecture alone; `sam deploy -t stack.yaml` there does the rest.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# = 3 ] || {
    echo "usage: dist.sh ZIP ARCH DIR" >&2
    exit 2
}
case $2 in
x86_64 | amd64) arch=x86_64 ;;
arm64 | aarch64) arch=arm64 ;;
*)
    echo "dist.sh: $2 is no architecture of Lambda: arm64 or x86_64" >&2
    exit 2
    ;;
esac
[ -f "$1" ] || {
    echo "dist.sh: no file $1" >&2
    exit 1
}
to=$3/$arch
zip=ec2sweep-$arch.zip

# The architecture is that of the zip, and there is nothing to build.
of_zip() { # TEMPLATE
    sed -e "s/Default: arm64/Default: $arch/" \
        -e "s/AllowedValues: \[arm64, x86_64\]/AllowedValues: [$arch]/" \
        -e "s/CodeUri: \.\$/CodeUri: $zip/" \
        -e '/^    Metadata:/,/ContextPath/d' "$1"
}

rm -rf "$to"
mkdir -p "$to/deploy"
cp "$1" "$to/$zip"
of_zip template.yaml >"$to/template.yaml"
of_zip stack.yaml >"$to/stack.yaml"
cp deploy/*.yaml "$to/deploy"
cp -R events schema LICENSE "$to"
echo "$to"
