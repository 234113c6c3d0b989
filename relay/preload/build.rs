//! Links the library so that nothing is left to be looked up when a signal arrives.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in ["-Wl,-z,now", "-Wl,-z,nodelete", "-Wl,-soname,libthreaddump_relay.so", "-nostdlib"] {
        println!("cargo:rustc-link-arg-cdylib={argument}");
    }
}
