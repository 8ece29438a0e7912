#!/bin/sh
# Runs these tests in virtual environments of their own, made when they are
# missing or their requirements have changed: one for the tests, one for SAM,
# whose requirements are not theirs. Where PyPI is out of reach it says so and
# ends well: nothing else of the project needs PyPI.
#
#   EC2SWEEP_BUILD=build/dev test/conformance/run.sh [pytest arguments]
#   test/conformance/run.sh --make           makes them, and no more
set -eu
cd "$(dirname "$0")/../.."

from=test/conformance

# The first python3 that can make a virtual environment: Debian's own cannot
# without the package python3-venv.
find_python() {
    for candidate in "${EC2SWEEP_PYTHON:-python3}" python3 /usr/bin/python3; do
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo 'conformance: no python3 with venv; install python3-venv' >&2
    return 1
}

pypi_is_reachable() { # PYTHON DIR
    "$1" -m pip -q download --disable-pip-version-check --no-deps \
        --no-cache-dir --retries 1 --timeout 15 --dest "$2/probe" \
        iniconfig >/dev/null 2>&1
}

make_environment() { # NAME REQUIREMENTS
    venv=build/$1
    ! cmp -s "$from/$2" "$venv/made-of.txt" || return 0
    echo "conformance: making $venv"
    found=$(find_python)
    rm -rf "$venv"
    "$found" -m venv "$venv"
    if ! pypi_is_reachable "$venv/bin/python" "$venv"; then
        rm -rf "$venv"
        echo 'conformance: skipped, because PyPI cannot be reached' >&2
        exit 0
    fi
    "$venv/bin/python" -m pip -q install --disable-pip-version-check \
        -r "$from/$2"
    cp "$from/$2" "$venv/made-of.txt"
}

make_environment conformance-venv requirements.txt
make_environment sam-venv requirements-sam.txt
[ "${1:-}" != --make ] || exit 0
exec build/conformance-venv/bin/python -B -m pytest $from "$@"
