//! Functions that nothing calls. Where unwind information should say so and does not (glibc on arm and ppc64le has none
//! there, and a table of arm cannot tell it from code without rules), their names do.
use super::Frame;

/// What a program starts with, and what a thread starts with.
const NAMES: [&str; 10] = [
    "_start",
    "__libc_start_main",
    "__libc_start_main_impl",
    "generic_start_main",
    "start_thread",
    "__thread_start",
    "clone",
    "__clone",
    "clone3",
    "__clone3",
];

/// Whether the last frame is of such a function. A thread in `clone` itself is not meant: that makes another one.
pub(super) fn is_outermost(frames: &[Frame]) -> bool {
    let [.., _, last] = frames else { return false };
    let name = last.function.as_deref().unwrap_or_default();
    let plain = name.split('@').next().unwrap_or_default();
    NAMES.contains(&plain)
}
