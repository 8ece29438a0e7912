#!/bin/bash
# Builds the programs that ec2sweep is measured beside, each into
# OUT/NAME/bootstrap:
#
#   bench/peers/build.sh OUT [go] [rust] [python]
#
# One that cannot be built, for want of a compiler or a registry, is left out
# with the reason. Rust takes some twenty minutes the first time, Go some
# minutes; what is newer than its sources is left as it is.
set -u

out=$(mkdir -p "$1" && cd "$1" && pwd) || exit 1
shift
cd "$(dirname "$0")" || exit 1

is_built() { # NAME: nothing of its sources is newer
    [ -x "$out/$1/bootstrap" ] &&
        [ -z "$(find "$1" -newer "$out/$1/bootstrap" -type f)" ]
}

# Called by name below.
# shellcheck disable=SC2317
build_go() {
    (cd go && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build \
        -tags lambda.norpc -ldflags '-s -w' -o "$out/go/bootstrap" .)
}

# shellcheck disable=SC2317
build_rust() {
    cargo build --release --manifest-path rust/Cargo.toml \
        --target-dir "$out/rust/target" &&
        cp "$out/rust/target/release/bootstrap" "$out/rust/bootstrap"
}

# shellcheck disable=SC2317
build_python() {
    python3 -m venv "$out/python/venv" &&
        "$out/python/venv/bin/python" -m pip install --quiet \
            --disable-pip-version-check -r python/requirements.txt &&
        cp python/app.py python/bootstrap "$out/python/"
}

for peer in "$@"; do
    tool=$peer
    [ "$peer" = rust ] && tool=cargo
    [ "$peer" = python ] && tool=python3
    is_built "$peer" && continue
    if ! command -v "$tool" >/dev/null; then
        echo "peers: $peer is left out: there is no $tool"
        continue
    fi
    echo "peers: building $peer"
    mkdir -p "$out/$peer"
    if ! "build_$peer" >"$out/$peer/log" 2>&1; then
        rm -f "$out/$peer/bootstrap"
        tail -n 5 "$out/$peer/log"
        echo "peers: $peer is left out: it could not be built," \
            "see $out/$peer/log"
    fi
done
exit 0
