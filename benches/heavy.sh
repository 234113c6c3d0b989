#!/bin/sh
# Compares threaddump with eu-stack and gdb on processes with much debug information:
#
#     benches/heavy.sh
#
# One is a JVM (Debian packages openjdk-17-jdk-headless and openjdk-17-dbg), whose debug file is compressed; the
# other a debug build of a large Rust program (samply, some 250 crates), whose debug information is not. What
# it builds is kept in target/heavy. Needs gdb, eu-stack (package elfutils), cargo and a network for the first run.
set -eu

cd "$(dirname "$0")/.."
folder=$PWD/target/heavy
mkdir -p "$folder"
started=
trap 'for pid in $started; do kill "$pid" 2> /dev/null || :; done' EXIT
trap 'exit 1' INT TERM

if [ ! -x "$folder/bin/samply" ]; then
    CARGO_TARGET_DIR=$folder/build cargo install --debug --locked --quiet samply --version 0.13.1 --root "$folder"
fi
# A server that waits: a recording without threads is enough for it.
echo '{"meta":{"version":29,"preprocessedProfileVersion":49},"libs":[],"threads":[]}' > "$folder/empty.json"
"$folder/bin/samply" load --no-open --address 127.0.0.1 "$folder/empty.json" > /dev/null 2>&1 &
started="$started $!"

if command -v javac > /dev/null; then
    cat > "$folder/Waiting.java" << 'END'
public class Waiting {
    static void deep(int depth) throws Exception {
        if (depth > 0) deep(depth - 1); else Thread.sleep(Long.MAX_VALUE);
    }
    public static void main(String[] arguments) throws Exception {
        for (int number = 0; number < 30; number++) {
            int depth = number;
            Thread thread = new Thread(() -> { try { deep(depth); } catch (Exception interrupted) { } });
            thread.setDaemon(true);
            thread.start();
        }
        deep(0);
    }
}
END
    javac -d "$folder" "$folder/Waiting.java"
    java -cp "$folder" Waiting &
    started="$started $!"
else
    echo "skipped: no JVM is installed (Debian packages openjdk-17-jdk-headless, openjdk-17-dbg)"
fi
sleep 3
cargo bench --bench heavy -- $started
