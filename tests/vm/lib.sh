# Sourced by the scripts beside it: what each machine needs, and an apt that shares nothing with the
# system's but its mirror and keys. Everything fetched is kept below VM_DIR (target/vm).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${VM_DIR:=$here/../../target/vm}"
mkdir -p "$VM_DIR"
VM_DIR=$(cd "$VM_DIR" && pwd)
all_machines="x86_64 i386 aarch64 arm riscv64 ppc64le s390x"

# machine ARCH: sets deb (Debian's name of it), kernel (package), suite (it is from), qemu (command), console,
# disk (how the machine sees it), triple (of the C compiler), rust (target), sysroot (libraries of its programs;
# empty for those of this system).
machine() {
    arch=$1
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    disk=virtio-blk-pci
    case $arch in
        x86_64)
            deb=amd64 kernel=linux-image-cloud-amd64 console=ttyS0
            qemu="qemu-system-x86_64 -M q35 -cpu qemu64"
            triple=x86_64-linux-gnu rust=x86_64-unknown-linux-gnu
            ;;
        i386)
            deb=i386 kernel=linux-image-686-pae console=ttyS0
            qemu="qemu-system-i386 -M q35 -cpu max"
            triple=i686-linux-gnu rust=i686-unknown-linux-gnu
            ;;
        aarch64)
            # A processor that signs return addresses.
            deb=arm64 kernel=linux-image-cloud-arm64 console=ttyAMA0
            qemu="qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on"
            triple=aarch64-linux-gnu rust=aarch64-unknown-linux-gnu
            ;;
        arm)
            deb=armhf kernel=linux-image-armmp console=ttyAMA0 disk=virtio-blk-device
            qemu="qemu-system-arm -M virt -cpu cortex-a15"
            triple=arm-linux-gnueabihf rust=armv7-unknown-linux-gnueabihf
            ;;
        riscv64)
            deb=riscv64 kernel=linux-image-riscv64 suite=trixie console=ttyS0
            qemu="qemu-system-riscv64 -M virt"
            triple=riscv64-linux-gnu rust=riscv64gc-unknown-linux-gnu
            ;;
        ppc64le)
            deb=ppc64el kernel=linux-image-powerpc64le console=hvc0
            qemu="qemu-system-ppc64 -M pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken -cpu power9 -vga none"
            triple=powerpc64le-linux-gnu rust=powerpc64le-unknown-linux-gnu
            ;;
        s390x)
            deb=s390x kernel=linux-image-s390x console=ttysclp0 disk=virtio-blk-ccw
            qemu="qemu-system-s390x -M s390-ccw-virtio"
            triple=s390x-linux-gnu rust=s390x-unknown-linux-gnu
            ;;
        *)
            echo "no machine for $arch" >&2
            exit 2
            ;;
    esac
    sysroot=$VM_DIR/cross/usr/$triple
    cc=$VM_DIR/cross/bin/$triple-gcc
    [ "$arch" != x86_64 ] || sysroot='' cc=gcc
}

# private_apt SUITE ARCH [ARCH...]: the first architecture is the one that packages are for if they do not say;
# sets APT_CONFIG.
private_apt() {
    from=$1
    shift
    mirror=$(env -u APT_CONFIG apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Component: main' |
        grep -v security | head -n 1)
    apt=$VM_DIR/apt-$from-$(echo "$*" | tr ' ' -)
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
    : >"$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $from main" >"$apt/sources"
    release=''
    case $from in
        *-backports)
            echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror ${from%-backports} main" >>"$apt/sources"
            release="APT::Default-Release \"$from\";"
            ;;
    esac
    # No parts of the system's settings: its hooks may clear folders that are in use here.
    cat >"$apt/conf" <<END
Dir::Etc::parts "$apt/parts"; Dir::Etc::sourcelist "$apt/sources"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
Dir::State "$apt"; Dir::State::lists "$apt/lists"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
$release
APT::Architecture "$1"; APT::Architectures { $(for each in "$@"; do printf '"%s"; ' "$each"; done) };
APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::GzipIndexes "true"; Acquire::Retries "3";
END
    export APT_CONFIG=$apt/conf
    [ -e "$apt/updated" ] || { apt-get -qq update && touch "$apt/updated"; }
}

# needs PACKAGE...: what has to be there to install these, themselves included.
needs() {
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "$@" | grep '^[a-z]' | sort -u
}

# unpack FOLDER PACKAGE...: downloads what is not there yet, and unpacks it.
unpack() {
    into=$1
    shift
    mkdir -p "$into/packages"
    (cd "$into/packages" && apt-get -qq download "$@")
    for package in "$into"/packages/*.deb; do
        [ ! -e "$package" ] || { dpkg-deb -x "$package" "$into" && : >"$package.unpacked" && rm "$package"; }
    done
}
