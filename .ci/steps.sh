# Steps of a check, for the programs here: sourced, from the project's root.
# shellcheck shell=bash
log=$(mktemp)
failed=()
beside= # the process group of what runs in the background

# Nothing goes on when this ends, however it ends.
clean_up() {
    [ -z "$beside" ] || kill -- "-$beside" 2>/dev/null
    [ ! -s "$log.beside" ] || tail -n 50 "$log.beside"
    rm -f "$log" "$log.beside"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

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

# Runs a command in the background, in a process group of its own.
start_beside() { # COMMAND...
    set -m
    "$@" >"$log.beside" 2>&1 </dev/null &
    beside=$!
    set +m
}

# Waits for it to end, and prints what it said.
await_beside() {
    local status=0
    wait "$beside" || status=$?
    beside=
    mv "$log.beside" "$log"
    cat "$log"
    [ "$status" = 0 ] || failed+=(beside)
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
