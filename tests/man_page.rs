//! Man pages agree with the program. `THREADDUMP_BLESS=1` writes `man/threaddump.1` anew.
use std::fs;
use std::path::{Path, PathBuf};

use clap_mangen::Man;
use serde_json::Value;

fn man(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Marks the options that `replay` has too: its manual is part of this page.
fn definition() -> clap::Command {
    let mut command = threaddump::cli::command();
    command.build();
    let replay = command.find_subcommand("replay").expect("there is such a command").clone();
    command.mut_args(|argument| {
        let shared = argument.get_long().is_some()
            && replay.get_arguments().any(|other| other.get_id() == argument.get_id());
        let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string);
        match help {
            Some(help) if shared => argument.long_help(format!("(r) {help}")),
            _ => argument,
        }
    })
}

fn generated() -> String {
    let man = Man::new(definition()).title("THREADDUMP").manual("User Commands");
    let mut page =
        b".\\\" Made from the definition of the command line and from man/sections/. Do not edit.\n".to_vec();
    man.render_title(&mut page).expect("a Vec takes everything");
    man.render_name_section(&mut page).expect("a Vec takes everything");
    man.render_synopsis_section(&mut page).expect("a Vec takes everything");
    page.extend(read(&self::man("sections/description.roff")).bytes());
    man.render_options_section(&mut page).expect("a Vec takes everything");
    page.extend(read(&self::man("sections/core.roff")).bytes());
    page.extend(core_options().bytes());
    page.extend(read(&self::man("sections/after-options.roff")).bytes());
    String::from_utf8(page).expect("it is text")
}

/// The options that only `core` has.
fn core_options() -> String {
    let mut command = threaddump::cli::command();
    command.build();
    let all = command.clone();
    let shared = |argument: &clap::Arg| {
        all.get_arguments().any(|other| argument.get_long().is_some() && other.get_id() == argument.get_id())
    };
    let core = command.find_subcommand("core").expect("there is such a command").clone();
    let core = core.mut_args(|argument| {
        let hidden = shared(&argument) || argument.get_id() == "help";
        argument.hide(hidden)
    });
    let mut section = Vec::new();
    Man::new(core).render_options_section(&mut section).expect("a Vec takes everything");
    let section = String::from_utf8(section).expect("it is text");
    let (title, options) = section.split_once(".SH OPTIONS\n").expect("it begins with its title");
    format!(
        "{title}.PP\nIt takes the options marked with (r) above, \\fB\\-\\-stack\\-bytes\\fR, \\fB\\-\\-save\\-snapshot\\fR and these:\n{options}"
    )
}

/// The page of `crashes`: what is written by hand, and the options of each of its commands.
fn generated_crashes() -> String {
    let mut command = threaddump::cli::command();
    command.build();
    let crashes = command.find_subcommand("crashes").expect("there is such a command");
    let mut page =
        b".\\\" Made from the definition of the command line and from man/sections/. Do not edit.\n".to_vec();
    let title = Man::new(crashes.clone()).title("THREADDUMP-CRASHES").manual("User Commands");
    title.render_title(&mut page).expect("a Vec takes everything");
    page.extend(read(&man("sections/crashes.roff")).bytes());
    for name in ["list", "show", "remove", "clean"] {
        let command = crashes.find_subcommand(name).expect("there is such a command").clone();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let more = long.strip_prefix(&about).unwrap_or_default().trim();
        page.extend(format!(".SH \"CRASHES {}\"\n{about}.\n", name.to_uppercase()).bytes());
        if !more.is_empty() {
            page.extend(format!(".PP\n{}\n", more.replace('\n', " ")).bytes());
        }
        let command = command.mut_args(|argument| {
            let hidden = argument.get_id() == "help";
            argument.hide(hidden)
        });
        let mut section = Vec::new();
        Man::new(command).render_options_section(&mut section).expect("a Vec takes everything");
        let section = String::from_utf8(section).expect("it is text");
        page.extend(section.replace(".SH OPTIONS\n", "").bytes());
    }
    page.extend(read(&man("sections/crashes-after.roff")).bytes());
    String::from_utf8(page).expect("it is text")
}

#[test]
fn the_committed_page_about_crashes_is_the_generated_one() {
    let path = man("threaddump-crashes.1");
    let page = generated_crashes();
    if std::env::var_os("THREADDUMP_BLESS").is_some() {
        fs::write(&path, &page).expect("sources can be written");
    }
    assert!(
        read(&path) == page,
        "man/threaddump-crashes.1 is not up to date; THREADDUMP_BLESS=1 rewrites it"
    );
}

#[test]
fn the_committed_man_page_is_the_generated_one() {
    let path = man("threaddump.1");
    let page = generated();
    if std::env::var_os("THREADDUMP_BLESS").is_some() {
        fs::write(&path, &page).expect("sources can be written");
    }
    assert!(read(&path) == page, "man/threaddump.1 is not up to date; THREADDUMP_BLESS=1 rewrites it");
}

/// Names of all fields that occur in a JSON value.
fn fields(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                names.push(name.clone());
                // Names of registers are not fields of the schema.
                if name != "registers" {
                    fields(value, names);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| fields(value, names)),
        _ => {}
    }
}

#[test]
fn the_json_manual_describes_every_field() {
    let page = read(&man("threaddump-json.5"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names = vec!["code".to_owned(), "address".to_owned(), "before".to_owned()];
    for case in ["complete.json", "incomplete.json", "deep.json", "generated.json"] {
        fields(&serde_json::from_str(&read(&golden.join(case))).expect("it is JSON"), &mut names);
    }
    for name in names {
        assert!(page.contains(&format!("\n.B {name}\n")), "{name} is not described");
    }
}

#[test]
fn the_json_manual_knows_every_reason_and_every_way() {
    let page = read(&man("threaddump-json.5"));
    let ways = ["context", "cfi", "signal", "frame_pointer", "leaf", "scan"];
    let ends = [
        "root",
        "kernel_worker",
        "exited",
        "not_stopped",
        "running",
        "stack_cut",
        "no_unwind_info",
        "unreadable_stack",
        "no_progress",
        "bad_return_address",
        "damaged_unwind_info",
        "unwind_info_too_large",
        "unknown_register",
        "unwind_rules_failed",
    ];
    let names = ["file", "jit", "perf_map"];
    for code in ways.into_iter().chain(ends).chain(names) {
        assert!(page.contains(&format!("\"{code}\"")), "{code} is not described");
    }
}
