# Steps of a check, for .ci/run and .ci/long: sourced, from the project's root.
# shellcheck shell=bash
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()

step() { # NAME COMMAND...
    local name=$1 begin=$SECONDS status=0
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    echo "== $name: status $status, $((SECONDS - begin)) s"
    [ "$status" = 0 ] || failed+=("$name")
    return "$status"
}

# The last line of tests that were just run.
closing_line() {
    grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1
}

# The exit status of all: 0 only if no step failed.
verdict() {
    [ ${#failed[@]} -eq 0 ] && return
    echo "failed: ${failed[*]}"
    return 1
}
