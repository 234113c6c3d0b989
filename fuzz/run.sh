#!/bin/sh
# Runs every fuzz target, or those named, for SECONDS each:
#
#     fuzz/run.sh SECONDS [TARGET]...
#     fuzz/run.sh --keep [TARGET]...     adds what earlier runs found to the kept corpus, minimised
#
# Needs a C++ compiler and the stable toolchain, nothing else: the instrumentation that cargo-fuzz
# asks a nightly compiler for is given as code generation options. A run starts from the kept
# corpus (fuzz/corpus/TARGET) and what earlier runs found (fuzz/target/found/TARGET). An input that
# fails is left in fuzz/artifacts/TARGET; to repeat it:
#
#     fuzz/target/x86_64-unknown-linux-gnu/release/TARGET FILE
set -eu

usage() {
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 64
}

cd "$(dirname "$0")"
[ $# -ge 1 ] || usage
what=$1
shift
case $what in
    --keep) ;;
    '' | 0* | *[!0-9]*) usage ;; # for libFuzzer 0 is without end
esac
if [ $# -eq 0 ]; then
    set -- $(cd fuzz_targets && ls | sed 's/\.rs$//')
fi

host=$(rustc -vV | sed -n 's/^host: //p')
# Coverage of edges with inline counters, and the operands of comparisons.
flags='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table"
flags="$flags -Cllvm-args=-sanitizer-coverage-trace-compares"
flags="$flags --cfg fuzzing -Ccodegen-units=1"
# With --target the flags do not reach build scripts.
RUSTFLAGS=$flags cargo build --release --locked --target "$host" --target-dir target

for target; do
    found=target/found/$target
    mkdir -p "$found" "corpus/$target" "artifacts/$target"
    binary=target/$host/release/$target
    limits="-timeout=10 -rss_limit_mb=1024 -max_len=4096"
    # The smallest has the memory of the vdso in it.
    [ "$target" != snapshot ] || limits="$limits -max_len=16384"
    if [ "$what" = --keep ]; then
        rm -rf "target/merged/$target"
        mkdir -p "target/merged/$target"
        "$binary" $limits -print_funcs=0 -verbosity=0 -use_counters=0 -use_cmp=0 \
            -set_cover_merge=1 "target/merged/$target" "corpus/$target" "$found"
        rm -rf "corpus/$target"
        mkdir "corpus/$target"
        # A start for later runs, not an archive: 64 KB of each are in the repository.
        total=0
        for file in "target/merged/$target"/*; do
            total=$((total + $(wc -c < "$file")))
            [ $total -gt 65000 ] || cp "$file" "corpus/$target/"
        done
        continue
    fi
    echo "fuzz: $target for $what s"
    "$binary" $limits -max_total_time="$what" -artifact_prefix="artifacts/$target/" \
        -print_final_stats=1 -print_funcs=0 -verbosity=0 "$found" "corpus/$target"
done
