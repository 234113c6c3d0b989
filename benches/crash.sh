#!/usr/bin/env bash
# Time from a crash to the parent's waitpid, as root: without a handler, with the kernel writing a core file, with a
# handler that ends at once and one that only copies (benches/crash_floor.c), and with threaddump as the handler
# (notes, and stops at the end); for 1, 100 and 1,000 threads, and a large process. The ways take turns, so that
# whatever else the machine does falls on all of them.
# Usage: crash.sh [THREADDUMP] [ROUNDS] [MIB]. Settings of the kernel are put back at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:-target/release/threaddump}") rounds=${2:-5} mib=${3:-10240}
folder=$(mktemp -d /opt/td-bench-XXXXXX)
pattern=$(cat /proc/sys/kernel/core_pattern) limit=$(cat /proc/sys/kernel/core_pipe_limit)
restore() {
    printf '%s' "$pattern" >/proc/sys/kernel/core_pattern
    printf '%s' "$limit" >/proc/sys/kernel/core_pipe_limit
    rm -rf "$folder"
}
trap restore EXIT
exec 9>/tmp/threaddump-core-pattern.lock
flock 9
chmod 755 "$folder"
cp "$program" "$folder/threaddump"
cc -O1 -pthread -o "$folder/crash" benches/crash.c
cc -O1 -o "$folder/floor" benches/crash_floor.c
echo 512 >/proc/sys/kernel/core_pipe_limit
facts='P=%P I=%I s=%s t=%t u=%u g=%g d=%d F=%F e=%e'
declare -A patterns=(
    [none]="core" [core]="$folder/core" [exit]="|$folder/floor exit" [copy]="|$folder/floor copy %P"
    [notes]="|$folder/threaddump handle-core --store=$folder/s --via=notes $facts"
    [ptrace]="|$folder/threaddump handle-core --store=$folder/s --via=ptrace $facts"
)
all=(none core exit copy notes ptrace)
printf 'milliseconds from the fault to waitpid, median (minimum) of %s rounds\n' "$rounds"
printf '%-14s' 'threads, MiB'
printf '%18s' 'no dump' 'core file' 'floor: exit' 'floor: copy' 'threaddump notes' 'threaddump ptrace'
printf '\n'
crash() { # way threads mib
    printf '%s' "${patterns[$1]}" >/proc/sys/kernel/core_pattern
    ulimit -Sc "$([ "$1" = none ] && echo 0 || echo hard)"
    "$folder/crash" "$2" "$3" >>"$folder/times.$1"
    rm -f "$folder"/core*
    # The handler works on after the process is gone.
    while pgrep -f "^$folder/threaddump" >/dev/null; do sleep 0.05; done
}
line() { # threads mib rounds ways...
    local round way
    rm -f "$folder"/times.*
    for ((round = 0; round < $3; round++)); do
        for way in "${@:4}"; do crash "$way" "$1" "$2"; done
    done
    printf '%-14s' "$1, $2"
    for way in "${all[@]}"; do
        if [ -e "$folder/times.$way" ]; then
            sort -n "$folder/times.$way" |
                awk '{ t[NR] = $1 } END { printf "%18s", sprintf("%.1f (%.1f)", t[int((NR + 1) / 2)], t[1]) }'
        else
            printf '%18s' -
        fi
    done
    printf '\n'
}
line 1 0 "$rounds" "${all[@]}"
line 100 0 "$rounds" "${all[@]}"
line 1000 0 "$rounds" "${all[@]}"
# A core of that size would be written for a minute, and fill the disk.
if [ "$mib" -gt 2048 ]; then
    printf '(no core file of the large process is written)\n'
    line 1 "$mib" 3 none exit copy notes ptrace
else
    line 1 "$mib" 3 "${all[@]}"
fi
