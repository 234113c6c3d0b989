//! Panics that are allowed.

/// libFuzzer ends at every panic, even one that is caught. The code under test catches those of the
/// libraries it calls, which costs it an answer and no more; so they are not reported unless nobody
/// catches them.
pub fn allow_caught_ones_of_libraries() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let in_library = panic.location().is_some_and(|place| place.file().contains("/registry/"));
            if !in_library {
                report(panic);
            }
        }));
    });
}
