//! Lambdas in functions that only their file knows have no linkage names from GCC: their names are put
//! together from the functions and types around them.
mod support;

use std::fs;
use std::process::Command;

use support::process::{Running, settle};
use support::{dump, scratch};

const PROGRAM: &str = r#"
#include <cstdio>
#include <unistd.h>
volatile int sink;
template <class F> __attribute__((noinline)) void apply(F f) { f(3); sink++; }
static auto later = [](int x) { sink = x; };
int main(int count, char **) {
    auto first = [count](int x) { sink = x * count; };
    auto second = [count](int x) {
        sink = x * count;
        auto inner = [x](long y) { sink = y + x; puts("ready"); fflush(stdout); for (;;) pause(); };
        inner(5);
    };
    struct { int operator()(int x) { sink = x; return sink; } } third;
    apply(first);
    apply(later);
    third(1);
    apply(second);
}
"#;

#[test]
fn a_lambda_is_named_by_its_function_and_its_number() {
    let folder = scratch("lambdas");
    let (source, program) = (folder.join("lambdas.cc"), folder.join("lambdas"));
    fs::write(&source, PROGRAM).expect("it is ours");
    for level in ["-O0", "-O2"] {
        let status = Command::new("g++").args(["-g", level, "-o"]).arg(&program).arg(&source).status();
        assert!(status.expect("there is a compiler").success());
        let Ok(running) = Running::start_ready(&mut Command::new(&program), "lambdas", "ready") else {
            panic!("it starts")
        };
        assert!(settle(running.pid()));
        let Ok(dumped) = dump::run(running.pid(), &dump::Ask::default()) else { panic!("it can be dumped") };
        let frames = &dumped.report.threads[0].frames;
        let names: Vec<&str> = frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
        let inner = "main::{lambda#2}::operator()::{lambda#1}::operator()";
        assert!(names.contains(&inner), "{level}: {names:#?}");
        assert!(!names.iter().any(|name| name.contains("{unnamed}")), "{level}: {names:#?}");
    }
}
