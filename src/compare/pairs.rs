//! What of two threads is not the same.
use super::{Difference, Frame, Thread};

/// Registers that one of the two ways has and the other lacks say nothing, so only those of both are compared.
pub(super) fn registers(left: &Thread, right: &Thread, skip: &[&str], found: &mut Vec<Difference>) {
    for (name, value) in &left.registers {
        let Some(other) = right.register(name) else { continue };
        if *value != other && !skip.contains(&name.as_str()) {
            found.push(Difference {
                frame: None,
                what: "register",
                register: Some(name.clone()),
                left: Some(hex(*value)),
                right: Some(hex(other)),
            });
        }
    }
}

/// A plain fact.
pub(super) fn fact(what: &'static str, left: Option<String>, right: Option<String>) -> Option<Difference> {
    (left != right).then_some(Difference { frame: None, what, register: None, left, right })
}

/// How much of a frame counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Where it is.
    Places,
    /// Also what it is called, and where that is written.
    Names,
}

/// Frame by frame. Of what one has more than the other, the first frame is named.
pub(super) fn frames(left: &[&Frame], right: &[&Frame], depth: Depth, found: &mut Vec<Difference>) {
    for (index, (one, other)) in left.iter().zip(right).enumerate() {
        let before = found.len();
        let mut note = |what, left: Option<String>, right: Option<String>| {
            if left != right {
                found.push(Difference { frame: Some(index), what, register: None, left, right });
            }
        };
        note("pc", Some(hex(one.pc)), Some(hex(other.pc)));
        note("inlined", Some(one.inlined.to_string()), Some(other.inlined.to_string()));
        if depth == Depth::Names {
            note("module", one.module.clone(), other.module.clone());
            note("module_offset", one.module_offset.map(hex), other.module_offset.map(hex));
            note("function", one.function.clone(), other.function.clone());
            note("function_offset", one.function_offset.map(hex), other.function_offset.map(hex));
            note("file", one.file.clone(), other.file.clone());
            note("line", one.line.map(|line| line.to_string()), other.line.map(|line| line.to_string()));
        }
        // Frames further out follow from this one.
        if found.len() > before {
            return;
        }
    }
    let common = left.len().min(right.len());
    let pc = |frames: &[&Frame]| frames.get(common).map(|frame| hex(frame.pc));
    if left.len() != right.len() {
        let (left, right) = (pc(left), pc(right));
        found.push(Difference { frame: Some(common), what: "pc", register: None, left, right });
    }
}

pub(super) fn hex(value: u64) -> String {
    format!("{value:#x}")
}
