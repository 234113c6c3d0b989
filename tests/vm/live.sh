#!/bin/sh
# live.sh ARCH [PROGRAM]: builds threaddump (or takes this one), threads.c and waits.rs for a machine, and runs them and two
# commands of busybox there. The dump of threads.c is held against what that says of itself and against the stack pointers in
# /proc. Of each process is left below VM_DIR/live-ARCH/out: NAME.json, a dump; NAME.core, which the kernel wrote right after
# it; and in sysroot/ the files it had mapped. `tests/machines.rs` holds the two against each other. On aarch64 the same with a
# program for arm, and with a threaddump for arm if rust.sh arm and live.sh arm were there before.
. "$(dirname "$0")/lib.sh"
machine "$1"
program=${2:-}
root=$(cd "$here/../.." && pwd)
work=$VM_DIR/live-$arch
rm -rf "$work"
mkdir -p "$work"
sh "$here/cross.sh" "$arch"
if [ "$arch" = x86_64 ]; then
    [ -n "$program" ] || (cd "$root" && cargo build -q --release --bin threaddump)
    program=${program:-$root/target/release/threaddump}
    RUSTC=${RUSTC:-rustc}
else
    sh "$here/rust.sh" "$arch"
    . "$VM_DIR/rust/env"
    # Not optimised: it is built for each machine, and has little to do there.
    # One dependency asks for a feature of newer compilers on s390x and ppc64le.
    [ -n "$program" ] || (cd "$root" && export RUSTC_BOOTSTRAP=syscalls CARGO_PROFILE_DEV_DEBUG=0 &&
        cargo build -q --bin threaddump --target "$rust" --target-dir "$VM_DIR/build")
    program=${program:-$VM_DIR/build/$rust/debug/threaddump}
fi
"$cc" -g -O1 -fno-optimize-sibling-calls ${VM_CFLAGS:-} -o "$work/threads" "$here/threads.c" -lpthread 2>/dev/null
(cd "$here" && "$RUSTC" --edition 2021 --target "$rust" -C "linker=$cc" -C opt-level=2 -g --remap-path-prefix "$here=." \
    -o "$work/waits" waits.rs)
cp "$program" "$work/threaddump"
[ "$arch" = x86_64 ] || LD_LIBRARY_PATH=$VM_DIR/cross/usr/lib/x86_64-linux-gnu "$VM_DIR/cross/usr/bin/$triple-strip" "$work/threaddump"
names='threads waits'
files="$work/threads $work/waits $work/threaddump"
if [ "$arch" = aarch64 ]; then
    # Programs of its 32-bit mode, with the libraries where their loader looks for them.
    sh "$here/cross.sh" arm
    extra=$work/extra
    libraries=$VM_DIR/cross/usr/arm-linux-gnueabihf/lib
    mkdir -p "$extra/lib/arm-linux-gnueabihf"
    cp -L "$libraries/ld-linux-armhf.so.3" "$extra/lib/"
    for library in libc.so.6 libpthread.so.0 libgcc_s.so.1 libm.so.6 libdl.so.2; do
        cp -L "$libraries/$library" "$extra/lib/arm-linux-gnueabihf/"
    done
    "$VM_DIR/cross/bin/arm-linux-gnueabihf-gcc" -g -O1 -fno-optimize-sibling-calls -o "$work/narrow" "$here/threads.c" -lpthread
    names="$names narrow" files="$files $work/narrow"
    export VM_EXTRA=$extra
    tracer=$VM_DIR/live-arm/threaddump
    [ ! -e "$tracer" ] || { cp "$tracer" "$work/narrow-threaddump" && files="$files $work/narrow-threaddump"; }
fi
VM_OUT=$work/out sh "$here/run.sh" "$arch" "names='$names'
$(cat "$here/job.sh")" $files >"$work/log" 2>&1 || {
    cat "$work/log" "$work"/out/*.messages 2>/dev/null
    echo "$arch: failed"
    exit 1
}
: >"$work/result"
status=0
for name in $names; do
    [ "$name" != waits ] || continue
    awk -f "$here/check.awk" "$work/out/$name.said" "$work/out/$name.dump" >"$work/part" || status=1
    # A thread that waits in the kernel: /proc tells its stack pointer, and so does the dump.
    awk 'FNR == NR { if (NF == 10) sp[$1] = $(NF - 1); next }
        /^thread [0-9]+ \(tid/ { tid = $4; sub(/\).*/, "", tid) }
        tid in sp { for (i = 1; i < NF; i++) if ($i ~ /^(sp|rsp|esp|r1|r15)$/ && $(i + 1) == sp[tid]) found[tid] = 1 }
        END { for (tid in sp) { all++; same += found[tid] } printf "%d of %d stack pointers as in /proc\n", same, all; exit same != all }' \
        "$work/out/$name.syscall" "$work/out/$name.dump" >>"$work/part" || status=1
    [ "$status" = 0 ] || cat "$work/out/$name.dump" "$work/out/$name.messages"
    sed "s/^/$name: /" "$work/part" >>"$work/result"
done
[ ! -e "$work/out/narrow" ] || cat "$work/out/narrow" >>"$work/result"
sed "s/^/$arch: /" "$work/result"
exit "$status"
