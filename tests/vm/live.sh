#!/bin/sh
# live.sh ARCH [PROGRAM]: builds threaddump (or takes this one) and threads.c for a machine, runs both there, and holds the
# dump against what threads.c says of itself and against the stack pointers in /proc.
. "$(dirname "$0")/lib.sh"
machine "$1"
program=${2:-}
root=$(cd "$here/../.." && pwd)
work=$VM_DIR/live-$arch
mkdir -p "$work"
sh "$here/cross.sh" "$arch"
if [ -z "$program" ] && [ "$arch" = x86_64 ]; then
    (cd "$root" && cargo build -q --release --bin threaddump)
    program=$root/target/release/threaddump
elif [ -z "$program" ]; then
    sh "$here/rust.sh" "$arch"
    # Not optimised: it is built for each machine, and has little to do there.
    # One dependency asks for a feature of newer compilers on s390x and ppc64le.
    (cd "$root" && . "$VM_DIR/rust/env" && export RUSTC_BOOTSTRAP=syscalls CARGO_PROFILE_DEV_DEBUG=0 && cargo build -q --bin threaddump \
        --target "$rust" --target-dir "$VM_DIR/build")
    program=$VM_DIR/build/$rust/debug/threaddump
fi
"$cc" -g -O1 -fno-optimize-sibling-calls ${VM_CFLAGS:-} -o "$work/threads" "$here/threads.c" -lpthread 2>/dev/null
cp "$program" "$work/threaddump"
[ "$arch" = x86_64 ] || LD_LIBRARY_PATH=$VM_DIR/cross/usr/lib/x86_64-linux-gnu "$VM_DIR/cross/usr/bin/$triple-strip" "$work/threaddump"
rm -rf "$work/out"
VM_OUT=$work/out sh "$here/run.sh" "$arch" '
    ./threads >/out/said &
    for try in 1 2 3 4 5 6 7 8 9 10; do grep -q ready /out/said && break; sleep 1; done
    pid=$(sed -n "s/^pid \([0-9]*\) ready/\1/p" /out/said)
    for task in /proc/$pid/task/*; do echo "${task##*/} $(cat $task/syscall)"; done >/out/syscall
    ./threaddump --format json -o /out/dump.json $pid
    ./threaddump $pid >/out/dump 2>/out/messages
    echo "threaddump: $?"
    grep -h "TracerPid\|^State" /proc/$pid/task/*/status | sort | uniq -c
    kill -0 $pid && kill $pid' "$work/threads" "$work/threaddump" >"$work/log" 2>&1 || {
    cat "$work/log" "$work/out/messages" 2>/dev/null
    echo "$arch: failed"
    exit 1
}
status=0
awk -f "$here/check.awk" "$work/out/said" "$work/out/dump" >"$work/result" || status=1
# A thread that waits in the kernel: /proc tells its stack pointer, and so does the dump.
awk 'FNR == NR { if (NF == 10) sp[$1] = $(NF - 1); next }
    /^thread [0-9]+ \(tid/ { tid = $4; sub(/\).*/, "", tid) }
    tid in sp { for (i = 1; i < NF; i++) if ($i ~ /^(sp|rsp|esp|r1|r15)$/ && $(i + 1) == sp[tid]) found[tid] = 1 }
    END { for (tid in sp) { all++; same += found[tid] } printf "%d of %d stack pointers as in /proc\n", same, all; exit same != all }' \
    "$work/out/syscall" "$work/out/dump" >>"$work/result" || status=1
sed "s/^/$arch: /" "$work/result"
[ "$status" = 0 ] || cat "$work/out/dump" "$work/out/messages"
exit "$status"
