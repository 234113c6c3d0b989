#!/usr/bin/env bash
# Time from a crash to the parent's waitpid, as root: without a handler, with the kernel writing a core file, and
# with threaddump as the handler (notes, and stops at the end); for 1, 100 and 1,000 threads, and a large process.
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
echo 512 >/proc/sys/kernel/core_pipe_limit
facts='P=%P I=%I s=%s t=%t u=%u g=%g d=%d F=%F e=%e'
declare -A patterns=(
    [none]="core" [core]="$folder/core" [notes]="|$folder/threaddump handle-core --store=$folder/s --via=notes $facts"
    [ptrace]="|$folder/threaddump handle-core --store=$folder/s --via=ptrace $facts"
)
printf 'milliseconds from the fault to waitpid, median (minimum) of %s rounds\n' "$rounds"
printf '%-28s' 'threads, MiB'
printf '%20s' 'no dump' 'core file' 'threaddump notes' 'threaddump ptrace'
printf '\n'
measure() { # way threads mib rounds
    printf '%s' "${patterns[$1]}" >/proc/sys/kernel/core_pattern
    ulimit -Sc "$([ "$1" = none ] && echo 0 || echo hard)"
    local round
    for ((round = 0; round < $4; round++)); do
        "$folder/crash" "$2" "$3"
        rm -f "$folder"/core*
        # The handler works on after the process is gone.
        while pgrep -f "^$folder/threaddump" >/dev/null; do sleep 0.05; done
    done | sort -n | awk '{ t[NR] = $1 } END { printf "%20s", sprintf("%.1f (%.1f)", t[int((NR + 1) / 2)], t[1]) }'
}
line() { # threads mib rounds ways...
    printf '%-28s' "$1, $2"
    local way
    for way in "${@:4}"; do measure "$way" "$1" "$2" "$3"; done
    printf '\n'
}
line 1 0 "$rounds" none core notes ptrace
line 100 0 "$rounds" none core notes ptrace
line 1000 0 "$rounds" none core notes ptrace
# A core of that size would be written for a minute, and fill the disk.
if [ "$mib" -gt 2048 ]; then
    printf '(no core file of the large process is written)\n'
    printf '%-28s' "1, $mib"; measure none 1 "$mib" 3; printf '%20s' '-'; measure notes 1 "$mib" 3; measure ptrace 1 "$mib" 3; printf '\n'
else
    line 1 "$mib" 3 none core notes ptrace
fi
