#!/bin/sh
# cores.sh ARCH...: makes the core files below tests/fixtures/cores anew: threads.c, linked statically, crashes in each machine,
# and the kernel there writes the core. Left for each: core.zst, program.zst, and what the program said of its threads.
. "$(dirname "$0")/lib.sh"
for name in "$@"; do
    machine "$name"
    sh "$here/cross.sh" "$arch"
    work=$VM_DIR/cores-$arch
    kept=$here/../fixtures/cores/$arch
    rm -rf "$work"
    mkdir -p "$work" "$kept"
    flags=''
    [ "$arch" != aarch64 ] || flags=-mbranch-protection=standard
    (cd "$here" && "$cc" -static -no-pie -g -O1 -fno-optimize-sibling-calls -ffile-prefix-map="$here=." $flags \
        -Wl,--build-id -o "$work/threads" threads.c -lpthread)
    # Small stacks, so that there is little to keep.
    VM_OUT=$work/out sh "$here/run.sh" "$arch" '
        ulimit -c unlimited
        ulimit -s 128
        echo /out/core >/proc/sys/kernel/core_pattern
        ./threads crash >/out/said
        [ -s /out/core ]' "$work/threads"
    zstd -q -19 -f "$work/out/core" -o "$kept/core.zst"
    zstd -q -19 -f "$work/threads" -o "$kept/program.zst"
    grep -v '^pid' "$work/out/said" >"$kept/said"
    echo "$arch: $(wc -c <"$work/out/core") bytes of core, $(wc -c <"$kept/core.zst") and $(wc -c <"$kept/program.zst") kept"
done
