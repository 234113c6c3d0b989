//! The program on another processor, in a virtual machine. `tests/vm/all.sh` does the same for seven.
mod support;

use std::path::Path;
use std::process::Command;

use support::has_program;
use support::record::{skip, summary};

/// Built for aarch64, run under an emulated processor that signs return addresses, held against what a program
/// says of its threads.
#[test]
fn a_dump_on_aarch64_is_as_the_program_says() {
    let needed = ["qemu-system-aarch64", "cpio", "depmod", "apt-get", "dpkg-deb", "xz", "awk"];
    if let Some(missing) = needed.iter().find(|name| !has_program(name)) {
        return skip("aarch64", &format!("no {missing}"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/live.sh");
    let mut command = Command::new("sh");
    // Its own profile: that of the test run is for another compiler.
    command.arg(script).arg("aarch64").env("VM_CFLAGS", "-mbranch-protection=standard");
    let output = command.output().expect("sh is installed");
    let (text, messages) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(100) {
        return skip("aarch64", &format!("what it takes could not be fetched: {}", messages.trim_end()));
    }
    assert!(output.status.success(), "{text}{messages}");
    assert!(text.contains(": 0 differ"), "{text}{messages}");
    for line in text.lines() {
        summary(line);
    }
}
