//! Frames of both tools in the same shape: one group per physical frame.
use super::{dump, gdb};

/// A function with its place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
}

/// A physical frame and what was inlined into it, innermost first; the last level is the physical
/// function.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) pc: u64,
    pub(crate) module: Option<String>,
    pub(crate) module_offset: Option<u64>,
    pub(crate) levels: Vec<Level>,
    /// threaddump's `how`, gdb's frame type.
    pub(crate) kind: String,
}

impl Group {
    /// The name of the physical function.
    pub(crate) fn function(&self) -> Option<&str> {
        self.levels.last()?.function.as_deref()
    }

    /// `module+0xoffset`, or where there is no module `[anonymous]`.
    pub(crate) fn place(&self) -> String {
        let base = self.module.as_deref().map(|path| path.rsplit('/').next().unwrap_or(path));
        match (base, self.module_offset) {
            (Some(base), Some(offset)) => format!("{base}+{offset:#x}"),
            _ => "[anonymous]".to_owned(),
        }
    }
}

/// threaddump's frames.
pub(crate) fn of_dump(thread: &dump::Thread) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut levels = Vec::new();
    for frame in &thread.frames {
        levels.push(Level {
            function: frame.function.clone(),
            file: frame.file.as_deref().map(base_name),
            line: frame.line,
        });
        if !frame.inlined {
            groups.push(Group {
                pc: frame.pc,
                module: frame.module.clone(),
                module_offset: frame.module_offset,
                levels: std::mem::take(&mut levels),
                kind: frame.how.clone(),
            });
        }
    }
    groups
}

/// gdb's frames.
pub(crate) fn of_gdb(thread: &gdb::Thread) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut levels = Vec::new();
    for frame in &thread.frames {
        let function =
            frame.linkage.clone().filter(|name| !name.starts_with("_Z") && !name.starts_with("_R"));
        levels.push(Level {
            function: frame.name.clone().or(function),
            file: frame.file.as_deref().map(base_name),
            line: frame.line,
        });
        if frame.kind != "inline" {
            groups.push(Group {
                pc: frame.pc,
                module: None,
                module_offset: None,
                levels: std::mem::take(&mut levels),
                kind: frame.kind.clone(),
            });
        }
    }
    groups
}

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
