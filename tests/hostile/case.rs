//! What a case is, and what it is held against.
use serde_json::Value;

use super::craft::{BACK, CALL, Craft, WAIT};
use super::stage::{self, Folder};

/// One malicious target.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Writes the files and gives the arguments of the program that maps them.
    pub(crate) make: fn(&Folder) -> Vec<String>,
    /// What the dump must show beside everything that is not concerned.
    pub(crate) wants: Wants,
}

/// What a dump must show of the threads in the crafted code.
pub(crate) enum Wants {
    /// Their whole stacks: the lie is seen through.
    Whole,
    /// The same, with a function of this name in the crafted file.
    Named(&'static str),
    /// Whole stacks, and one of these problems.
    WholeAnd(&'static [&'static str]),
    /// One of these, among the problems and the reasons of the ends of walks.
    Says(&'static [&'static str]),
    /// Whatever can be had; the limits are what counts.
    Anything,
}

impl Wants {
    pub(crate) fn check(&self, report: &Value) -> Result<(), String> {
        let victims = stage::threads(report, "victim");
        match self {
            Wants::Whole => victims.iter().try_for_each(|thread| whole(thread)),
            Wants::Named(name) => {
                Wants::Whole.check(report)?;
                let wanted = format!("\"{name}\"");
                let named =
                    |thread: &&Value| stage::frames(thread).iter().any(|frame| frame.starts_with(&wanted));
                if victims.iter().any(named) { Ok(()) } else { Err(format!("no function {name}")) }
            }
            Wants::WholeAnd(texts) => {
                victims.iter().try_for_each(|thread| whole(thread))?;
                Wants::Says(texts).check(report)
            }
            Wants::Says(texts) => {
                let problems = stage::problems(report);
                let found = texts.iter().any(|text| problems.contains(text));
                if found { Ok(()) } else { Err(format!("none of {texts:?} in\n{problems}")) }
            }
            Wants::Anything => Ok(()),
        }
    }
}

fn whole(thread: &Value) -> Result<(), String> {
    let frames = stage::frames(thread);
    let through = frames.iter().any(|frame| frame.starts_with("\"stand\"") && frame.ends_with("\"cfi\""));
    if through && thread["end"] == "root" {
        return Ok(());
    }
    Err(format!("the stack of the thread in crafted code is not whole: {} {frames:#?}", thread["end"]))
}

/// A thread that calls the function of this file.
pub(crate) fn called(folder: &Folder, craft: &Craft) -> Vec<String> {
    called_bytes(folder, &craft.build())
}

pub(crate) fn called_bytes(folder: &Folder, bytes: &[u8]) -> Vec<String> {
    let path = folder.write("crafted.so", bytes);
    vec![format!("{},0,call,{CALL:#x}", path.display())]
}

/// Threads on stacks full of return addresses into this file, so far apart.
pub(crate) fn stacked(folder: &Folder, craft: &Craft, stride: u64, count: u64, threads: u64) -> Vec<String> {
    let path = folder.write("crafted.so", &craft.build());
    vec![format!("{},0,stack,{WAIT:#x},{BACK:#x},{stride},{count},{threads}", path.display())]
}
