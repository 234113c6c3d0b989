#!/bin/sh
# relay.sh ARCH [PROGRAM]: builds threaddump with the relay (or takes this one, with its library beside it) and small
# programs for a machine, and looks there at what the relay shows and leaves alone. A line for each thing that was
# looked at; the status says whether anything was wrong. Where the relay does not know the processor it is only built.
. "$(dirname "$0")/lib.sh"
machine "$1"
program=${2:-}
root=$(cd "$here/../.." && pwd)
work=$VM_DIR/relay-$arch
mkdir -p "$work"
sh "$here/cross.sh" "$arch"
tools=''
[ "$arch" = x86_64 ] || tools=$VM_DIR/cross/usr/bin/$triple-
# tool NAME ARGUMENT...: of the binutils for the machine.
tool() {
    name=$1
    shift
    LD_LIBRARY_PATH=$VM_DIR/cross/usr/lib/x86_64-linux-gnu "$tools$name" "$@"
}
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
if [ ! -e "$(dirname "$program")/libthreaddump_relay.so" ]; then
    (cd "$root" && . "$VM_DIR/rust/env" && export RUSTFLAGS=-Dwarnings && cargo build -q -p threaddump-relay \
        --target "$rust" --target-dir "$VM_DIR/relay-build")
    echo "$arch: ok: the relay was built, and does not know the processor"
    exit 0
fi
compile() {
    "$cc" -g -O1 -w -fno-optimize-sibling-calls ${VM_CFLAGS:-} -pthread -rdynamic -o "$work/$1" "$root/tests/$2/$1.c"
}
compile threads vm
for name in faults fates quits stacks crowd handlers locks filtered; do
    compile "$name" relay
done
cp "$program" "$(dirname "$program")/libthreaddump_relay.so" "$work/"
tool strip "$work/threaddump"
# What the library asks the C library for. Debian's compiler has guards of the stack in code that runs when the library is
# loaded, for atomics of old processors.
tool nm -D --undefined-only "$work/libthreaddump_relay.so" | awk '{ print $2 }' | grep -v '^__stack_chk_' |
    sort >"$work/undefined"
grep -v '^#' "$root/tests/relay/undefined.txt" | sort >"$work/allowed"
if ! diff "$work/allowed" "$work/undefined"; then
    echo "$arch: WRONG: the library asks for other functions"
    exit 1
fi
echo "$arch: ok: the library asks for $(wc -l <"$work/undefined") functions"
cp "$here/relay-inside.sh" "$here/check.awk" "$work/"
rm -rf "$work/out"
files=''
for name in threads faults fates quits stacks crowd handlers locks filtered threaddump libthreaddump_relay.so relay-inside.sh check.awk; do
    files="$files $work/$name"
done
VM_OUT=$work/out sh "$here/run.sh" "$arch" 'sh ./relay-inside.sh' $files >"$work/log" 2>&1 || {
    sed "s/^/$arch: /" "$work/log"
    echo "$arch: failed"
    exit 1
}
sed "s/^/$arch: /" "$work/log"
