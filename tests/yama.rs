//! The Yama security module, level by level, in a virtual machine whose kernel has it; the kernel of the
//! machine that runs the tests need not.
mod relay;
mod support;
mod via;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use support::has_program;
use support::record::{skip, summary};

/// A process of another user's session and one of the same user look at it; then root does. Level 3 stays
/// until the next start, so it is the last.
const COMMAND: &str = r#"
printf 'root:x:0:0:root:/:/bin/sh\nu:x:1000:1000:u:/tmp:/bin/sh\n' >/etc/passwd
echo 'u:x:1000:' >/etc/group
su u -c '/job/target sleep >/tmp/ready' &
preload="LD_PRELOAD=/job/$(basename /job/libthreaddump_relay*) THREADDUMP=helper=none"
su u -c "$preload /job/asked >/tmp/asked-ready" &
for try in 1 2 3 4 5 6 7 8 9 10; do
    grep -q ready /tmp/ready 2>/dev/null && grep -q ready /tmp/asked-ready 2>/dev/null && break
    sleep 1
done
pid=$(pidof target)
asked=$(pidof asked)
for level in 0 1 2 3; do
    echo $level >/proc/sys/kernel/yama/ptrace_scope
    for way in auto ptrace; do
        look="/job/threaddump --format json --via $way $pid"
        su u -c "$look" >/tmp/user 2>/tmp/user-messages
        echo "$level user $way $? $(tr -d "\n" </tmp/user)"
        cat /tmp/user-messages | sed "s/^/messages: $level user $way: /"
        $look >/tmp/root 2>/tmp/root-messages
        echo "$level root $way $? $(tr -d "\n" </tmp/root)"
    done
    look="/job/threaddump --format json $asked"
    su u -c "$look" >/tmp/user 2>/tmp/user-messages
    echo "relay $level user auto $? $(tr -d "\n" </tmp/user)"
    cat /tmp/user-messages | sed "s/^/relay messages: $level: /"
    $look >/tmp/root 2>/tmp/root-messages
    echo "relay $level root auto $? $(tr -d "\n" </tmp/root)"
done
"#;

/// One look: the level, who, the way, the exit status and the report.
struct Look<'a> {
    title: String,
    level: u32,
    is_root: bool,
    is_forced: bool,
    status: &'a str,
    report: Value,
}

impl Look<'_> {
    fn read(line: &str) -> Option<Look<'_>> {
        let mut words = line.splitn(5, ' ');
        let (level, who, way, status) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some(Look {
            title: format!("{level} {who} {way}"),
            level: level.parse().ok()?,
            is_root: who == "root",
            is_forced: way == "ptrace",
            status,
            report: serde_json::from_str(words.next()?).unwrap_or(Value::Null),
        })
    }

    /// Root may attach up to level 2, others at level 0, as Linux's documentation of Yama has it.
    fn is_allowed(&self) -> bool {
        self.level <= if self.is_root { 2 } else { 0 }
    }

    /// Of a process with the relay in it: everything is shown at every level, and by which way.
    fn check_relay(&self) {
        let Look { title, report, .. } = self;
        let source = if self.is_allowed() { "ptrace" } else { "relay" };
        assert_eq!((self.status, &report["source"]), ("0", &source.into()), "{title}: {report:#}");
        let threads = report["threads"].as_array().expect("an array");
        assert_eq!(threads.len(), 5, "{title}");
        for thread in threads {
            assert_eq!(thread["end"], "root", "{title}: {thread:#}");
            let frames = thread["frames"].as_array().expect("an array");
            // The machine has no symbols of the C library's own functions.
            let own = |frame: &Value| frame["function"].as_str().is_some_and(|name| name.starts_with("in_"));
            assert!(frames.iter().any(own), "{title}: {thread:#}");
        }
        if !self.is_allowed() {
            let cause = format!("kernel.yama.ptrace_scope is {}", self.level);
            let reason = report["fallback_reason"].as_str().unwrap_or_default();
            assert!(reason.contains(&cause), "{title}: {reason}");
        }
    }

    fn check(&self) {
        let Look { title, report, .. } = self;
        if self.is_allowed() {
            assert_eq!((self.status, &report["source"]), ("0", &"ptrace".into()), "{title}: {report:#}");
            let threads = report["threads"].as_array().expect("an array");
            assert_eq!(threads.len(), 5, "{title}");
            assert!(threads.iter().all(|thread| thread["end"] == "root"), "{title}: {report:#}");
            return;
        }
        if self.is_forced {
            assert_eq!((self.status, report), ("2", &Value::Null), "{title}");
            return;
        }
        assert_eq!((self.status, &report["source"]), ("1", &"proc".into()), "{title}: {report:#}");
        let text = |field: &str| report[field].as_str().unwrap_or_default();
        let cause = format!("kernel.yama.ptrace_scope is {}", self.level);
        assert!(text("fallback_reason").contains(&cause), "{title}: {report:#}");
        let advice = if self.level == 3 { "reboot" } else { "sysctl kernel.yama.ptrace_scope=0" };
        assert!(text("fallback_advice").contains(advice), "{title}: {report:#}");
        assert_eq!(report["threads"].as_array().map(Vec::len), Some(5), "{title}: all of them are named");
    }
}

#[test]
fn each_level_of_yama_is_told_and_explained() {
    let needed = ["qemu-system-x86_64", "cpio", "depmod", "apt-get", "dpkg-deb"];
    if let Some(missing) = needed.iter().find(|name| !has_program(name)) {
        return skip("yama", &format!("no {missing}"));
    }
    let Some(programs) = via::programs() else { return skip("yama", "no C compiler") };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm/run.sh");
    let mut command = Command::new("sh");
    command.arg(script).args(["x86_64", COMMAND]).args([&programs.threaddump, &programs.target]);
    command.args([relay::build("asked"), relay::library()]);
    let output = command.output().expect("sh is installed");
    let (text, messages) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(100) {
        return skip("yama", &format!("the kernel could not be fetched: {}", messages.trim_end()));
    }
    assert!(output.status.success(), "{text}{messages}");
    let looks: Vec<Look<'_>> = text.lines().filter_map(Look::read).collect();
    assert_eq!(looks.len(), 16, "{text}{messages}");
    for look in &looks {
        look.check();
    }
    let asked = text.lines().filter_map(|line| Look::read(line.strip_prefix("relay ")?));
    let asked: Vec<Look<'_>> = asked.filter(|look| look.title.ends_with("auto")).collect();
    assert_eq!(asked.len(), 8, "{text}{messages}");
    asked.iter().for_each(Look::check_relay);
    // By ptrace or not at all: the message has the cause and the next step.
    for level in 1..=3 {
        let start = format!("messages: {level} user ptrace: ");
        let said: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(&start)).collect();
        let said = said.join("\n");
        assert!(said.contains(&format!("kernel.yama.ptrace_scope is {level}")), "{said}");
        assert!(said.lines().count() >= 2, "there is a next step: {said}");
    }
    summary(
        "Yama: levels 0 to 3, as a user and as root, by ptrace and by any way: 16 looks, all as documented; \
         8 at a process with the relay: 5 threads whole each time",
    );
}
