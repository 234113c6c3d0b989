#!/bin/sh
# cross.sh ARCH...: a C compiler for each machine and its libraries, unpacked and not installed: Debian's cross
# compilers and gcc-multilib exclude each other. The second time it does nothing.
. "$(dirname "$0")/lib.sh"
cross=$VM_DIR/cross
mkdir -p "$cross/bin"
for name in "$@"; do
    machine "$name"
    [ "$arch" != x86_64 ] && [ ! -e "$cc" ] || continue
    private_apt "$(. /etc/os-release && echo "$VERSION_CODENAME")" amd64
    dashed=$(echo "$triple" | tr _ -)
    version=$(apt-cache depends "gcc-$dashed" | sed -n "s/.*Depends: gcc-\([0-9]*\)-$dashed\$/\1/p" | head -n 1)
    unpack "$cross" "gcc-$version-$dashed" "cpp-$version-$dashed" "binutils-$dashed" \
        $(needs "gcc-$version-$dashed" "libc6-dev-$deb-cross" | grep -- "-$deb-cross\$")
    cat >"$cc" <<END
#!/bin/sh
LD_LIBRARY_PATH=$cross/usr/lib/x86_64-linux-gnu exec $cross/usr/bin/$triple-gcc-$version --sysroot=$cross -ffile-prefix-map=$cross= "\$@"
END
    chmod +x "$cc"
done
