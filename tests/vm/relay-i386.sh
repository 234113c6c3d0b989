#!/bin/sh
# relay-i386.sh FILE: builds the relay's library for i386 programs, by the compiler that is here (or VM_RUSTC) if it can,
# else by that of rust.sh, and puts it there.
. "$(dirname "$0")/lib.sh"
machine i386
# Where the test run has its own settings: they are for another package.
for name in $(env | sed -n 's/^\(CARGO_PROFILE_[A-Z0-9_]*\)=.*/\1/p'); do
    unset "$name"
done
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR CARGO_BUILD_TARGET RUSTC_WRAPPER
export RUSTC="${VM_RUSTC:-rustc}"
if ! ls "$("$RUSTC" --print target-libdir --target "$rust")"/libcore-* >/dev/null 2>&1; then
    sh "$here/rust.sh" i386
    . "$VM_DIR/rust/env"
fi
(cd "$here/../../relay/preload" &&
    cargo build -q --release --locked --offline --target "$rust" --target-dir "$VM_DIR/relay-build")
cp "$VM_DIR/relay-build/$rust/release/libthreaddump_relay.so" "$1.$$"
mv "$1.$$" "$1"
