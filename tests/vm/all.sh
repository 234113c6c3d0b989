#!/bin/sh
# all.sh [ARCH...]: `tests/machines.rs` for every machine, or for these: what threaddump shows of live processes there, held
# against what they say of themselves, and against gdb and core files. For a person or a nightly job; what is fetched and built
# the first time (a quarter of an hour and 8 GB) is kept below target/vm. Needs the Debian packages qemu-system-x86, -arm, -misc and -ppc,
# gdb-multiarch, binutils, llvm, cpio, kmod, xz-utils; none is installed here. The status is 1 if anything failed or could not be tried.
. "$(dirname "$0")/lib.sh"
# arm first: the machine of aarch64 tries what was built for it.
machines=${*:-x86_64 i386 arm aarch64 riscv64 ppc64le s390x}
said=$VM_DIR/all.log
: >"$said"
bad=''
for name in $machines; do
    began=$(date +%s)
    (cd "$here/../.." && THREADDUMP_MACHINES=$name cargo test -q --release --test machines) >"$VM_DIR/part.log" 2>&1 || bad="$bad $name"
    grep -v '^$' "$VM_DIR/part.log" | tee -a "$said"
    echo "$name: $(($(date +%s) - began)) s" | tee -a "$said"
done
if grep '^skip ' "$said" >"$VM_DIR/part.log"; then
    echo "could not be tried:"
    cat "$VM_DIR/part.log"
    exit 1
fi
[ -z "$bad" ] || { echo "failed:$bad" && exit 1; }
