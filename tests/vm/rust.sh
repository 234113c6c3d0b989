#!/bin/sh
# rust.sh ARCH...: a Rust compiler that can build for these machines: that of Debian testing, or of the backports if the index
# of testing cannot be had, unpacked and not installed, since it wants a newer libc. Afterwards `. VM_DIR/rust/env` and cargo's --target do the rest.
. "$(dirname "$0")/lib.sh"
sh "$here/cross.sh" "$@"
folder=$VM_DIR/rust
mkdir -p "$folder"
foreign=''
libraries=''
for name in "$@"; do
    machine "$name"
    [ "$arch" != x86_64 ] && [ ! -e "$folder/has-$arch" ] || continue
    foreign="$foreign $deb" libraries="$libraries libstd-rust-dev:$deb"
done
[ -n "$foreign" ] || exit 0
for from in testing trixie-backports; do
    [ "$from" = trixie-backports ] || ! (private_apt "$from" amd64 $foreign) || break
done
private_apt "$from" amd64 $foreign
if [ -e "$folder/suite" ] && [ "$(cat "$folder/suite")" != "$from" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
fi
echo "$from" >"$folder/suite"
# All at once: the standard libraries fit only the compiler they were built with.
unpack "$folder" rustc $(needs libstd-rust-dev) $libraries
[ ! -d "$folder/lib" ] || [ -L "$folder/lib" ] || cp -a "$folder/lib/." "$folder/usr/lib/"
own=$folder/usr/lib/x86_64-linux-gnu
cat >"$folder/rustc" <<END
#!/bin/sh
exec "$own/ld-linux-x86-64.so.2" --library-path "$own" "$folder/usr/bin/rustc" --sysroot "$folder/usr" "\$@"
END
chmod +x "$folder/rustc"
echo "export RUSTC='$folder/rustc'" >"$folder/env"
for name in $all_machines; do
    machine "$name"
    [ "$arch" != x86_64 ] || continue
    echo "export CARGO_TARGET_$(echo "$rust" | tr 'a-z-' 'A-Z_')_LINKER='$cc'" >>"$folder/env"
    echo "export CC_$(echo "$rust" | tr - _)='$cc'" >>"$folder/env"
done
for name in "$@"; do
    touch "$folder/has-$name"
done
