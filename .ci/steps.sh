# Steps of a check, for the programs here: sourced, from the project's root.
# shellcheck shell=bash
log=$(mktemp)
trap 'rm -f "$log" "$log.beside"' EXIT
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

# Prints what steps in the background said, once they have ended.
await() { # NAME PID
    local status=0
    wait "$2" || status=$?
    mv "$log.beside" "$log"
    cat "$log"
    [ "$status" = 0 ] || failed+=("$1")
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
