#!/bin/bash
# What the Dockerfile runs in its container, for both architectures:
#
#   scripts/container.sh libraries       installs, and builds the libraries
#   scripts/container.sh zips DIR        DIR/ec2sweep-ARCH.zip, and the binaries
#                                        as DIR/amd64 and DIR/arm64
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/proxy.sh
. scripts/proxy.sh

architectures="x86_64 aarch64"

libraries() {
    local arch
    for arch in $architectures; do
        scripts/setup.sh release
        [ "$arch" = "$(uname -m)" ] || scripts/setup.sh "release-$arch"
        CC=$(third_party/compiler.sh "$arch") ARCH=$arch third_party/build.sh
    done
}

zips() { # DIR
    local arch folder
    for arch in $architectures; do
        make package ARCH="$arch"
        folder=build/release
        [ "$arch" = "$(uname -m)" ] || folder=$folder-${arch/aarch64/arm64}
        install -D "$folder/bootstrap" "$1/$(docker_name "$arch")/bootstrap"
        cp "$folder"/ec2sweep-*.zip "$1"
    done
}

docker_name() { # ARCH
    case $1 in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    esac
}

"$@"
