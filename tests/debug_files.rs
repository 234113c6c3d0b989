//! Debug files: those of servers, those of other roots, and those that are damaged or another program's.
//! Names must come from the right file; a wrong or broken one costs its own names only, and a note says so.
#[path = "debug_files/broken.rs"]
mod broken;
#[path = "debug_files/build.rs"]
mod build;
#[path = "debug_files/folders.rs"]
mod folders;
#[path = "debug_files/program.rs"]
mod program;
#[path = "debug_files/servers.rs"]
mod servers;
mod support;
