//! The line about a crash in a real journal and a real syslog. They run in name spaces of their own, so that neither
//! this machine's nor its settings are touched.
mod support;

use std::path::Path;

use serde_json::Value;
use support::process::bounded;
use support::{has_program, record, scratch};

#[test]
fn journald_and_syslogd_take_the_line_about_a_crash() {
    let skip = |reason: &str| record::skip("the journal", reason);
    if !nix::unistd::geteuid().is_root() || !has_program("unshare") {
        return skip("name spaces need root and unshare");
    }
    let (root, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), scratch("journal"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("cargo's folder for tests can be written");
    let mut command = bounded("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
    command.arg(root.join("tests/journal.sh")).arg(env!("CARGO_BIN_EXE_threaddump"));
    let output =
        command.arg(root.join("fuzz/corpus/core/kernel")).arg(&folder).output().expect("it is there");
    if matches!(output.status.code(), Some(1 | 77)) {
        return skip(&format!("no name spaces here: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    match read("journal") {
        None => skip("systemd-journald is not installed"),
        Some(lines) => {
            assert_eq!(lines.lines().count(), 1, "{lines}");
            let entry: Value = serde_json::from_str(lines.trim_end()).expect("it is JSON");
            for (field, value) in [
                ("MESSAGE_ID", "fc2e22bc6ee647b6b90729ab34a250b1"),
                ("_UID", "0"),
                ("PRIORITY", "2"),
                ("COREDUMP_PID", "4711"),
                ("COREDUMP_SIGNAL", "11"),
                ("COREDUMP_COMM", "journaled"),
            ] {
                assert_eq!(entry[field], value, "{field} of {entry:#}");
            }
            let message = entry["MESSAGE"].as_str().expect("it is text");
            assert!(
                message.starts_with("process 4711 (journaled) of user 0 crashed by SIGSEGV"),
                "{message}"
            );
        }
    }
    match (read("list"), read("info")) {
        (Some(list), Some(info)) => {
            let line = list.lines().find(|line| line.contains("4711")).unwrap_or_else(|| panic!("{list}"));
            assert!(line.contains("SIGSEGV") && line.contains("none"), "{list}");
            assert!(info.contains("4711 (journaled)") && info.contains("threaddump crashes show"), "{info}");
        }
        _ => skip("coredumpctl is not installed (Debian package systemd-coredump)"),
    }
    match read("messages") {
        Some(text) => {
            let line =
                text.lines().find(|line| line.contains("threaddump[")).unwrap_or_else(|| panic!("{text}"));
            assert!(line.contains("user.crit") && line.contains("process 4711 (logged)"), "{line}");
        }
        None => skip("busybox has no syslogd"),
    }
}
