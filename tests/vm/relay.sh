#!/bin/sh
# relay.sh ARCH [PROGRAM]: builds threaddump with the relay (or takes this one, with its library beside it) and small
# programs for a machine, and looks there at what the relay shows and leaves alone. A line for each thing that was
# looked at; the status says whether anything was wrong.
. "$(dirname "$0")/lib.sh"
machine "$1"
program=${2:-}
root=$(cd "$here/../.." && pwd)
work=$VM_DIR/relay-$arch
mkdir -p "$work"
sh "$here/cross.sh" "$arch"
strip=strip
if [ "$arch" != x86_64 ]; then
    strip=$VM_DIR/cross/usr/bin/$triple-strip
fi
if [ -z "$program" ] && [ "$arch" = x86_64 ]; then
    (cd "$root" && cargo build -q --release --bin threaddump)
    program=$root/target/release/threaddump
elif [ -z "$program" ]; then
    sh "$here/rust.sh" "$arch"
    # As live.sh does, in the same folder.
    (cd "$root" && . "$VM_DIR/rust/env" && export RUSTC_BOOTSTRAP=syscalls CARGO_PROFILE_DEV_DEBUG=0 && cargo build -q --bin threaddump \
        --target "$rust" --target-dir "$VM_DIR/build")
    program=$VM_DIR/build/$rust/debug/threaddump
fi
compile() {
    "$cc" -g -O1 -w -fno-optimize-sibling-calls ${VM_CFLAGS:-} -pthread -rdynamic -o "$work/$1" "$root/tests/$2/$1.c"
}
compile threads vm
for name in faults fates stacks crowd handlers locks; do
    compile "$name" relay
done
cp "$program" "$(dirname "$program")/libthreaddump_relay.so" "$work/"
LD_LIBRARY_PATH=$VM_DIR/cross/usr/lib/x86_64-linux-gnu "$strip" "$work/threaddump"
cp "$here/relay-inside.sh" "$here/check.awk" "$work/"
rm -rf "$work/out"
files=''
for name in threads faults fates stacks crowd handlers locks threaddump libthreaddump_relay.so relay-inside.sh check.awk; do
    files="$files $work/$name"
done
VM_OUT=$work/out sh "$here/run.sh" "$arch" 'sh ./relay-inside.sh' $files >"$work/log" 2>&1 || {
    sed "s/^/$arch: /" "$work/log"
    echo "$arch: failed"
    exit 1
}
sed "s/^/$arch: /" "$work/log"
