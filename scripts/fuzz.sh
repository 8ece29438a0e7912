#!/bin/bash
# Runs the fuzz targets that `make` has built into build/fuzz.
#
#   scripts/fuzz.sh run SECONDS [TARGET...]   look for findings, each target
#                                             for so long
#   scripts/fuzz.sh replay [TARGET...]        every saved input, once
#   scripts/fuzz.sh merge [TARGET...]         take what `run` has learnt into
#                                             test/fuzz/corpus, minimised
#
# A target is a name such as ec2_xml; none means all. What a run learns stays
# in build/fuzz/corpus; what it finds goes to build/fuzz/findings.
set -eu
cd "$(dirname "$0")/.."

MAX_FILES=60
MAX_LEN=8192
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=1:allocator_may_return_null=1"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-}:print_stacktrace=1"

options() { # TARGET: libFuzzer's options that all modes share
    local dict=test/fuzz/dict/$1.dict
    echo "-max_len=$MAX_LEN" -timeout=20 -rss_limit_mb=1024 -verbosity=0
    [ ! -f "$dict" ] || echo "-dict=$dict"
}

saved() { # TARGET: the folders of saved inputs that there are
    local dir
    for dir in test/fuzz/corpus/"$1" test/fuzz/findings/"$1"; do
        [ ! -d "$dir" ] || echo "$dir"
    done
}

run() { # TARGET
    local corpus=build/fuzz/corpus/$1 log=build/fuzz/$1.log
    local found=build/fuzz/findings/$1
    local -a opts dirs
    mapfile -t dirs < <(saved "$1")
    read -ra opts < <(options "$1" | xargs)
    mkdir -p "$corpus" "$found"
    if ! build/fuzz/"fuzz_$1" "${opts[@]}" -max_total_time="$seconds" \
        -print_final_stats=1 -verbosity=1 -artifact_prefix="$found/" \
        "$corpus" "${dirs[@]}" >"$log" 2>&1; then
        grep -av '^#\|^INFO\|^stat' "$log" | tail -n 60
        echo "fuzz $1: a finding, see $log and $found" >&2
        return 1
    fi
    awk -v name="$1" '/ cov: / { cov = $4; ft = $6 }
        /number_of_executed_units/ { n = $2 }
        END { printf "  %-12s %9d runs, %5d edges, %6d features\n",
                     name, n, cov, ft }' "$log"
}

replay() { # TARGET
    local log=build/fuzz/$1.replay.log
    local -a files
    mapfile -t files < <(saved "$1" | while read -r dir; do
        find "$dir" -type f
    done)
    if [ ${#files[@]} -eq 0 ]; then
        return
    fi
    if ! build/fuzz/"fuzz_$1" -timeout=20 -rss_limit_mb=1024 \
        "${files[@]}" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz $1: a saved input fails, see $log" >&2
        return 1
    fi
    printf '  %-12s %4d saved inputs\n' "$1" ${#files[@]}
}

merge() { # TARGET
    local new=build/fuzz/merged/$1 corpus=test/fuzz/corpus/$1
    local control=build/fuzz/$1.control
    local -a opts dirs
    mapfile -t dirs < <(saved "$1")
    read -ra opts < <(options "$1" | xargs)
    rm -rf "$new" "$control"
    mkdir -p "$new" build/fuzz/corpus/"$1" "$corpus"
    build/fuzz/"fuzz_$1" "${opts[@]}" -merge=1 -merge_control_file="$control" \
        "$new" build/fuzz/corpus/"$1" "${dirs[@]}" >build/fuzz/"$1".log 2>&1
    "$(scripts/python.sh)" -B scripts/fuzz-pick.py "$control" "$MAX_FILES" "$new"
    rm -rf "$corpus"
    mv "$new" "$corpus"
    printf '  %-12s %4d inputs\n' "$1" "$(find "$corpus" -type f | wc -l)"
}

usage() {
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -gt 0 ] || usage
mode=$1
shift
if [ "$mode" = run ]; then
    [ $# -gt 0 ] || usage
    seconds=$1
    shift
fi

if [ $# -eq 0 ]; then
    for source in test/fuzz/fuzz_*.c; do
        source=${source##*/fuzz_}
        set -- "$@" "${source%.c}"
    done
fi

failed=0
for target in "$@"; do
    case $mode in
    run) run "$target" || failed=1 ;;
    replay) replay "$target" || failed=1 ;;
    merge) merge "$target" || failed=1 ;;
    *) usage ;;
    esac
done
exit $failed
