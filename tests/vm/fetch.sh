#!/bin/sh
# fetch.sh ARCH: unpacks Debian's kernel, its modules and a static busybox; nothing is installed. The
# second time it does nothing.
. "$(dirname "$0")/lib.sh"
machine "$1"
folder=$VM_DIR/$arch
[ ! -e "$folder/complete" ] || exit 0
# What the mirror has of one suite may be broken for one architecture.
for from in "$suite" trixie; do
    if (private_apt "$from" "$deb"); then break; fi
    echo "fetch.sh: no valid index of Debian $from for $arch" >&2
done
private_apt "$from" "$deb"
rm -rf "$folder"
mkdir -p "$folder/packages" "$folder/root"
# What the name of the newest kernel stands for. Since Linux 7 it has two halves.
real=$(apt-cache show "$kernel" | sed -n 's/^Depends: *\(linux-image-[^ ,]*\).*/\1/p' | head -n 1)
version=${real#linux-image-}
packages=$real
if apt-cache show "linux-binary-$version" >/dev/null 2>&1; then
    packages="linux-binary-$version linux-modules-$version"
fi
(cd "$folder/packages" && apt-get -qq download $packages busybox-static)
for package in "$folder"/packages/*.deb; do
    dpkg-deb -x "$package" "$folder/root"
done
rm -r "$folder/packages"
[ -d "$folder/root/lib/modules" ] || { mkdir -p "$folder/root/lib" && ln -s ../usr/lib/modules "$folder/root/lib/modules"; }
version=$(ls "$folder/root/lib/modules" | head -n 1)
depmod -b "$folder/root" "$version" 2>/dev/null
cp "$(find "$folder/root" -type f -name 'vmlinu[xz]*' | head -n 1)" "$folder/kernel"
cp "$(find "$folder/root" -path '*bin/busybox' -type f | head -n 1)" "$folder/busybox"
echo "$version" >"$folder/version"
touch "$folder/complete"
