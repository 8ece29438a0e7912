#!/bin/sh
# Runs these tests in a virtual environment of their own, made when it is
# missing or requirements.txt has changed. Where PyPI is out of reach it says
# so and ends well: nothing else of the project needs PyPI.
#
#   EC2SWEEP_BUILD=build/dev test/conformance/run.sh [pytest arguments]
set -eu
cd "$(dirname "$0")/../.."

from=test/conformance
venv=build/conformance-venv
python=$venv/bin/python

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

pypi_is_reachable() {
    "$python" -m pip -q download --disable-pip-version-check --no-deps \
        --no-cache-dir --retries 1 --timeout 15 --dest "$venv/probe" \
        iniconfig >/dev/null 2>&1
}

is_made() {
    cmp -s $from/requirements.txt $venv/made-of.txt &&
        cmp -s $from/requirements-emulator.txt $venv/emulator-of.txt
}

make_environment() {
    echo "conformance: making $venv"
    found=$(find_python)
    rm -rf $venv
    "$found" -m venv $venv
    if ! pypi_is_reachable; then
        rm -rf $venv
        echo 'conformance: skipped, because PyPI cannot be reached' >&2
        exit 0
    fi
    "$python" -m pip -q install --disable-pip-version-check \
        -r $from/requirements.txt
    "$python" -m pip -q download --disable-pip-version-check --no-deps \
        --dest $venv/emulator -r $from/requirements-emulator.txt
    cp $from/requirements.txt $venv/made-of.txt
    cp $from/requirements-emulator.txt $venv/emulator-of.txt
}

is_made || make_environment
exec "$python" -B -m pytest $from "$@"
