#!/bin/sh
# rust.sh ARCH...: a Rust compiler that can build for these machines: that of Debian testing, or of the backports if the index
# of testing cannot be had, unpacked and not installed, since it wants a newer libc. Where the standard library for a machine
# cannot be had, it is built from the source of the same compiler. Afterwards `. VM_DIR/rust/env` and cargo's --target do the rest.
. "$(dirname "$0")/lib.sh"
sh "$here/cross.sh" "$@"
folder=$VM_DIR/rust
# What an earlier form of this script has left does not say which version it is, or was not finished.
[ -e "$folder/version" ] || rm -rf "$folder"
mkdir -p "$folder"
wanted=''
for name in "$@"; do
    [ "$name" = x86_64 ] || [ -e "$folder/has-$name" ] || wanted="$wanted $name"
done
[ -n "$wanted" ] || exit 0

if [ -e "$folder/rustc" ]; then
    from=$(cat "$folder/suite")
    private_apt "$from" amd64
else
    for from in testing trixie-backports; do
        [ "$from" = trixie-backports ] || ! (private_apt "$from" amd64) || break
    done
    private_apt "$from" amd64
    unpack "$folder" rustc $(needs libstd-rust-dev)
    echo "$from" >"$folder/suite"
    [ ! -d "$folder/lib" ] || [ -L "$folder/lib" ] || cp -a "$folder/lib/." "$folder/usr/lib/"
    own=$folder/usr/lib/x86_64-linux-gnu
    cat >"$folder/rustc" <<END
#!/bin/sh
exec "$own/ld-linux-x86-64.so.2" --library-path "$own" "$folder/usr/bin/rustc" --sysroot "$folder/usr" "\$@"
END
    chmod +x "$folder/rustc"
    # For building a standard library; the newest in the index may be newer than what was unpacked at another time.
    apt-cache show rustc | sed -n 's/^Version: //p' | head -n 1 >"$folder/version"
fi
version=$(cat "$folder/version")
echo "export RUSTC='$folder/rustc'" >"$folder/env"
for name in $all_machines; do
    machine "$name"
    [ "$arch" != x86_64 ] || continue
    echo "export CARGO_TARGET_$(echo "$rust" | tr 'a-z-' 'A-Z_')_LINKER='$cc'" >>"$folder/env"
    echo "export CC_$(echo "$rust" | tr - _)='$cc'" >>"$folder/env"
done

# from_source: builds a standard library for the machine, and puts it where the compiler looks for one.
from_source() {
    private_apt "$from" amd64
    [ -d "$folder/usr/src" ] || unpack "$folder" "rust-src=$version"
    source=$(find "$folder/usr/src" -type d -path '*/library/std' | head -n 1)
    source=${source%/library/std}
    mkdir -p "$folder/usr/lib/rustlib/src" "$folder/std/src"
    [ -e "$folder/usr/lib/rustlib/src/rust/library/std" ] || {
        rm -rf "$folder/usr/lib/rustlib/src/rust"
        ln -s "$source" "$folder/usr/lib/rustlib/src/rust"
    }
    # Its lock file is that of the source: the crates it names are checked against it.
    printf '[package]\nname = "std-for-others"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$folder/std/Cargo.toml"
    echo '#![no_std]' >"$folder/std/src/lib.rs"
    # With bitcode, as the one of a distribution: the relay's library is optimised as a whole.
    (cd "$folder/std" && . "$folder/env" && unset CARGO_PROFILE_RELEASE_LTO &&
        RUSTFLAGS=-Cembed-bitcode=yes RUSTC_BOOTSTRAP=1 cargo build -q --release -Z build-std=std,test --target "$rust" --target-dir "$folder/std/target")
    mkdir -p "$folder/usr/lib/rustlib/$rust/lib"
    rm -f "$folder/usr/lib/rustlib/$rust/lib/"*.rlib
    cp "$folder/std/target/$rust/release/deps/"*.rlib "$folder/usr/lib/rustlib/$rust/lib/"
    rm -f "$folder/usr/lib/rustlib/$rust/lib/libstd_for_others-"*
}

for name in $wanted; do
    machine "$name"
    # It fits only the compiler it was built with.
    if (private_apt "$from" amd64 "$deb" && unpack "$folder" "libstd-rust-dev:$deb=$version") >"$folder/log" 2>&1; then
        echo "$arch: standard library of Debian $from, $version" >"$folder/has-$arch"
    else
        echo "rust.sh: no standard library for $arch in Debian $from ($(grep '^E:' "$folder/log" | head -n 1)): building it from source" >&2
        from_source
        echo "$arch: standard library built from Debian's rust-src $version" >"$folder/has-$arch"
    fi
done
