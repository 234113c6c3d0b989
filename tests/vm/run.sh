#!/bin/sh
# run.sh ARCH COMMAND [FILE...]: boots a machine with Debian's kernel and busybox, runs COMMAND (for sh) in
# a folder with the FILEs and the shared libraries they need, prints what it prints, and ends with its
# status; 125 if the machine gave no answer. With VM_OUT, what it leaves in /out is copied there. What is below VM_EXTRA is
# below / there. An emulated processor; takes some seconds.
. "$(dirname "$0")/lib.sh"
machine "$1"
command=$2
shift 2
sh "$here/fetch.sh" "$arch"
folder=$VM_DIR/$arch
work=$(mktemp -d "$VM_DIR/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/out" "$root/job" "$root/modules" "$root/etc"
# Users of the machine may look at the job.
chmod -R 755 "$root"
cp "$folder/busybox" "$root/bin/busybox"
install -m 755 "$here/init.sh" "$root/init"
printf '%s\n' "$command" >"$root/job/command"
number=10
# Those that the kernel has built in are not there as modules.
for module in virtio_pci virtio_mmio virtio_blk; do
    modprobe -d "$folder/root" -S "$(cat "$folder/version")" --show-depends "$module" 2>/dev/null |
        sed -n 's/^insmod *\([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r file; do
    case $file in
        *.xz) xz -dc "$file" >"$root/modules/$number-$(basename "$file" .xz)" ;;
        *) cp "$file" "$root/modules/$number-$(basename "$file")" ;;
    esac
    number=$((number + 1))
done
if [ -n "$sysroot" ] && [ -d "$sysroot/lib" ]; then
    # Programs of another machine, whose libraries no loader can tell us here.
    mkdir -p "$root/lib"
    ln -s lib "$root/lib64"
    for library in ld-linux*.so.* ld64.so.* libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libgcc_s.so.1; do
        for file in "$sysroot"/lib/$library; do
            [ ! -e "$file" ] || cp -L "$file" "$root/lib/"
        done
    done
fi
[ -z "${VM_EXTRA:-}" ] || cp -r "$VM_EXTRA/." "$root/"
for file in "$@"; do
    cp -L "$file" "$root/job/"
    [ -z "$sysroot" ] || continue
    # The libraries at the paths where the loader looks for them.
    { ldd "$file" 2>/dev/null || true; } | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
done
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$work/initrd"
truncate -s 256M "$work/disk"
timeout 300 $qemu -smp 2 -m 512 -kernel "$folder/kernel" -initrd "$work/initrd" \
    -append "console=$console quiet panic=-1 rdinit=/init" -nodefaults -display none -serial stdio -no-reboot \
    -drive "if=none,id=disk,format=raw,file=$work/disk" -device "$disk,drive=disk" \
    </dev/null >"$work/console" 2>&1 || true
mkdir "$work/out"
tar -C "$work/out" -xf "$work/disk" 2>/dev/null || true
if [ ! -e "$work/out/status" ]; then
    tail -n 20 "$work/console" >&2
    exit 125
fi
# What else the command left in /out.
if [ -n "${VM_OUT:-}" ]; then
    mkdir -p "$VM_OUT"
    cp -r "$work/out/." "$VM_OUT/"
fi
cat "$work/out/stdout"
cat "$work/out/stderr" >&2
exit "$(cat "$work/out/status")"
