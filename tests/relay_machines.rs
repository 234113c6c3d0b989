//! The relay on another processor, in a virtual machine: `tests/vm/relay.sh` says what is looked at.
mod support;

use std::path::Path;
use std::process::Command;

use support::has_program;
use support::record::{skip, summary};

/// Under an emulated processor that signs return addresses, and code that is compiled for that.
#[test]
fn the_relay_on_aarch64_shows_all_and_changes_nothing() {
    let needed = ["qemu-system-aarch64", "cpio", "depmod", "apt-get", "dpkg-deb", "xz"];
    if let Some(missing) = needed.iter().find(|name| !has_program(name)) {
        return skip("relay on aarch64", &format!("no {missing}"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/relay.sh");
    let mut command = Command::new("sh");
    command.arg(script).arg("aarch64").env("VM_CFLAGS", "-mbranch-protection=standard");
    // Its own profile: that of the test run is for another compiler.
    let profile =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PROFILE_"));
    profile.for_each(|(name, _)| {
        command.env_remove(name);
    });
    let output = command.output().expect("sh is installed");
    let (text, messages) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(100) {
        let why = format!("what it takes could not be fetched: {}", messages.trim_end());
        return skip("relay on aarch64", &why);
    }
    assert!(output.status.success(), "{text}{messages}");
    let looked = text.lines().filter(|line| line.starts_with("aarch64: ok: ")).count();
    assert!(looked > 50 && !text.contains("WRONG"), "{text}");
    summary(&format!("aarch64: {looked} things about the relay are as they should be"));
    for line in text.lines().filter(|line| line.contains(" identical, ") || line.contains(": 0 differ")) {
        summary(line);
    }
}
