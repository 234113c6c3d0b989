//! `run` below a shell with job control: the terminal's keys do what they do without it, and Ctrl-\ dumps.
mod hurt;

use std::path::Path;
use std::process::Command;

use hurt::{build, skip, summary, tool};

#[test]
fn the_keys_of_a_terminal_do_what_they_do_to_the_program_alone() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hurt/job.py");
    let output = Command::new("python3").arg(script).arg(tool()).arg(build("fates")).output();
    let Ok(output) = output else {
        skip("job control", "python3 is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    // Nothing is traced meanwhile.
    let stopped = "stopped: T T\ncontinued: False\n".repeat(3);
    let expected = format!("{stopped}dumped\nstatus 130\n{stopped}status 130\npipe 0\n");
    assert_eq!(text, expected, "{}", String::from_utf8_lossy(&output.stderr));
    summary("run: stopped by Ctrl-Z and continued by fg 6 times, dumped by Ctrl-\\, ended by Ctrl-C");
}
