# Sourced by the scripts beside it: what each machine needs, and an apt that shares nothing with the
# system's but its mirror and keys. Everything fetched is kept below VM_DIR (target/vm).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${VM_DIR:=$here/../../target/vm}"
mkdir -p "$VM_DIR"
VM_DIR=$(cd "$VM_DIR" && pwd)

# machine ARCH: sets deb (Debian's name of it), kernel (package), qemu (command), console.
machine() {
    arch=$1
    case $arch in
        x86_64)
            deb=amd64 kernel=linux-image-cloud-amd64 console=ttyS0
            qemu="qemu-system-x86_64 -M q35 -cpu qemu64"
            ;;
        *)
            echo "no machine for $arch" >&2
            exit 2
            ;;
    esac
}

# private_apt ARCH: the suite of this system, also for other architectures; sets APT_CONFIG.
private_apt() {
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Component: main' |
        grep -v security | head -n 1)
    apt=$VM_DIR/apt-$suite-$1
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
    : >"$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/sources"
    # No parts of the system's settings: its hooks may clear folders that are in use here.
    cat >"$apt/conf" <<EOF
Dir::Etc::parts "$apt/parts"; Dir::Etc::sourcelist "$apt/sources"; Dir::Etc::sourceparts "/dev/null";
Dir::State "$apt"; Dir::State::lists "$apt/lists"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
APT::Architecture "$1"; APT::Architectures { "$1"; };
APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::GzipIndexes "true"; Acquire::Retries "3";
EOF
    export APT_CONFIG=$apt/conf
    [ -e "$apt/updated" ] || { apt-get -qq update && touch "$apt/updated"; }
}
