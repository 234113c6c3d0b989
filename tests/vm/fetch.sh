#!/bin/sh
# fetch.sh ARCH: unpacks Debian's kernel, its modules and a static busybox; nothing is installed. The
# second time it does nothing.
. "$(dirname "$0")/lib.sh"
machine "$1"
folder=$VM_DIR/$arch
[ ! -e "$folder/complete" ] || exit 0
private_apt "$deb"
rm -rf "$folder"
mkdir -p "$folder/packages" "$folder/root"
# What the name of the newest kernel stands for.
real=$(apt-cache show "$kernel" | sed -n 's/^Depends: *\(linux-image-[^ ,]*\).*/\1/p' | head -n 1)
(cd "$folder/packages" && apt-get -qq download "$real" busybox-static)
for package in "$folder"/packages/*.deb; do
    dpkg-deb -x "$package" "$folder/root"
done
version=$(ls "$folder/root/lib/modules" | head -n 1)
depmod -b "$folder/root" "$version"
cp "$folder"/root/boot/vmlinu* "$folder/kernel"
cp "$folder/root/bin/busybox" "$folder/busybox"
echo "$version" >"$folder/version"
touch "$folder/complete"
