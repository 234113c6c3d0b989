//! The `threaddump` program.
fn main() {}
