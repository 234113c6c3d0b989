//! Reports from their JSON, which the program itself never reads.
use serde_json::Value;
use threaddump::ids::{Pid, Tid};
use threaddump::report::{
    Frame, Hex, Omitted, Process, Report, ReportModule, ReportSyscall, Signal, SourceLine, Thread, Tool,
    Tracer,
};
use threaddump::snapshot::Problem;

pub(crate) fn report(value: &Value) -> Report {
    Report {
        schema: leak(&value["schema"]),
        tool: Tool { name: leak(&value["tool"]["name"]), version: leak(&value["tool"]["version"]) },
        captured_at: text(&value["captured_at"]),
        source: serde_json::from_value(value["source"].clone()).expect("a source"),
        fallback_reason: optional_text(&value["fallback_reason"]),
        fallback_advice: optional_text(&value["fallback_advice"]),
        pause_ns: value["pause_ns"].as_u64(),
        complete: flag(&value["complete"]),
        process: process(&value["process"]),
        signal: optional(&value["signal"], signal),
        modules: list(&value["modules"], module),
        threads: list(&value["threads"], thread),
        problems: list(&value["problems"], problem),
    }
}

/// The same report with every name that comes from the target replaced.
pub(crate) fn with_names(report: &Report, name: &str) -> Report {
    let mut report = report.clone();
    let named = |text: &mut Option<String>| *text = text.take().map(|_| name.to_owned());
    named(&mut report.fallback_reason);
    named(&mut report.fallback_advice);
    let process = &mut report.process;
    process.name = name.to_owned();
    process.exe = Some(format!("/{name}"));
    process.cmdline = vec![format!("{name}."), name.to_owned()];
    process.cgroup = Some(format!("/{name}"));
    process.tracer = Some(Tracer { pid: 1, name: name.to_owned() });
    report.problems.iter_mut().for_each(|problem| problem.message = name.to_owned());
    for thread in &mut report.threads {
        thread.name = Some(name.to_owned());
        named(&mut thread.wait_channel);
        thread.kernel_stack.iter_mut().flatten().for_each(|function| *function = name.to_owned());
        thread.end_detail = thread.end_detail.take().map(|_| name.to_owned());
        thread.problems.iter_mut().for_each(|problem| problem.message = name.to_owned());
        for frame in &mut thread.frames {
            frame.module = frame.module.take().map(|_| name.into());
            frame.function = frame.function.take().map(|_| name.into());
            frame.file = frame.file.take().map(|_| name.into());
            let line = |line: &SourceLine| SourceLine { line: line.line, text: name.to_owned() };
            frame.source = frame.source.take().map(|lines| lines.iter().map(line).collect());
        }
    }
    report
}

/// The same report with names that need no escape.
pub(crate) fn with_harmless_names(report: &Report) -> Report {
    let mut report = with_names(report, "harmless");
    report.threads.iter_mut().for_each(|thread| thread.end = "harmless".to_owned());
    report
}

fn process(value: &Value) -> Process {
    let tracer = &value["tracer"];
    Process {
        pid: Pid(number(&value["pid"])),
        ns_pid: optional(&value["ns_pid"], number),
        ppid: optional(&value["ppid"], number),
        uid: optional(&value["uid"], number),
        name: text(&value["name"]),
        exe: optional_text(&value["exe"]),
        cmdline: list(&value["cmdline"], text),
        arch: leak(&value["arch"]),
        start_time: optional_text(&value["start_time"]),
        cgroup: optional_text(&value["cgroup"]),
        kernel: optional_text(&value["kernel"]),
        tracer: optional(tracer, |tracer| Tracer {
            pid: number(&tracer["pid"]),
            name: text(&tracer["name"]),
        }),
    }
}

fn signal(value: &Value) -> Signal {
    Signal {
        number: number(&value["number"]),
        name: text(&value["name"]),
        code: optional(&value["code"], number),
        code_name: optional(&value["code_name"], leak),
        address: optional(&value["address"], hex),
        tid: optional(&value["tid"], number).map(Tid),
    }
}

fn module(value: &Value) -> ReportModule {
    ReportModule {
        path: text(&value["path"]),
        build_id: optional_text(&value["build_id"]),
        start: hex(&value["start"]),
        end: hex(&value["end"]),
        bias: optional(&value["bias"], hex),
        debug_file: optional_text(&value["debug_file"]),
    }
}

fn thread(value: &Value) -> Thread {
    // An object of serde_json has its keys sorted, so a register is taken where the table has it.
    let names = threaddump_arch::Arch::X86_64.registers().iter().map(|info| info.name);
    let register = |name: &'static str| Some((name, hex(value["registers"].get(name)?)));
    Thread {
        tid: Tid(number(&value["tid"])),
        index: number(&value["index"]),
        name: optional_text(&value["name"]),
        state: optional_text(&value["state"]).and_then(|state| state.chars().next()),
        syscall: optional(&value["syscall"], syscall),
        stopped: flag(&value["stopped"]),
        ns_tid: value["ns_tid"].as_i64().map(|id| id.try_into().expect("an id")),
        cpu_ns: value["cpu_ns"].as_u64(),
        wait_channel: optional_text(&value["wait_channel"]),
        kernel_stack: optional(&value["kernel_stack"], |stack| list(stack, text)),
        wait: None,
        registers: names.filter_map(register).collect(),
        frames: list(&value["frames"], frame),
        omitted: optional(&value["omitted"], |gap| Omitted {
            before: number(&gap["before"]),
            count: number(&gap["count"]),
        }),
        end: text(&value["end"]),
        end_detail: optional_text(&value["end_detail"]),
        problems: list(&value["problems"], problem),
    }
}

fn syscall(value: &Value) -> ReportSyscall {
    let args = list(&value["args"], hex);
    ReportSyscall {
        number: number(&value["number"]),
        name: optional(&value["name"], leak),
        args: args.try_into().expect("six arguments"),
    }
}

fn frame(value: &Value) -> Frame {
    let shared = |value: &Value| optional_text(value).map(Into::into);
    Frame {
        index: number(&value["index"]),
        pc: hex(&value["pc"]),
        module: shared(&value["module"]),
        module_offset: optional(&value["module_offset"], hex),
        build_id: shared(&value["build_id"]),
        function: shared(&value["function"]),
        function_from: optional(&value["function_from"], leak),
        function_offset: value["function_offset"].as_u64(),
        file: shared(&value["file"]),
        line: optional(&value["line"], number),
        column: optional(&value["column"], number),
        source: optional(&value["source"], |lines| list(lines, source_line).into()),
        inlined: flag(&value["inlined"]),
        how: leak(&value["how"]),
        signed_pc: optional(&value["signed_pc"], hex),
    }
}

fn source_line(value: &Value) -> SourceLine {
    SourceLine { line: number(&value["line"]), text: text(&value["text"]) }
}

fn problem(value: &Value) -> Problem {
    let (stage, message) = (text(&value["stage"]), text(&value["message"]));
    Problem { stage, tid: optional(&value["tid"], |tid| Tid(number(tid))), message }
}

fn optional<T>(value: &Value, convert: impl FnOnce(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| convert(value))
}

fn list<T>(value: &Value, convert: impl FnMut(&Value) -> T) -> Vec<T> {
    value.as_array().expect("a list").iter().map(convert).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn optional_text(value: &Value) -> Option<String> {
    optional(value, text)
}

fn leak(value: &Value) -> &'static str {
    text(value).leak()
}

fn flag(value: &Value) -> bool {
    value.as_bool().expect("true or false")
}

fn number<T: TryFrom<i64>>(value: &Value) -> T {
    value.as_i64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

fn hex(value: &Value) -> Hex {
    let digits = text(value);
    let digits = digits.strip_prefix("0x").expect("addresses begin with 0x");
    Hex(u64::from_str_radix(digits, 16).expect("hexadecimal digits"))
}
