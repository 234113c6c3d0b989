// Stripped, with its debug information in a file that .gnu_debuglink names: beside the program, in .debug, and shared (dwz).
// build: cc -O2 -g -Wl,--build-id=none $SRC -o $OUT.full && objcopy --only-keep-debug $OUT.full $OUT.debug && strip -o $OUT $OUT.full && cd $(dirname $OUT) && objcopy --add-gnu-debuglink=$OUT.debug $OUT
// build(folder): cc -O2 -g -Wl,--build-id=sha1 $SRC -o $OUT.full && mkdir -p $(dirname $OUT)/.debug && objcopy --only-keep-debug $OUT.full $(dirname $OUT)/.debug/$(basename $OUT).debug && strip -o $OUT $OUT.full && cd $(dirname $OUT)/.debug && objcopy --add-gnu-debuglink=$(basename $OUT).debug $OUT
// build(dwz): cc -O2 -gdwarf-4 -Wl,--build-id=sha1 $SRC -o $OUT.full && objcopy --only-keep-debug $OUT.full $OUT.debug && cp $OUT.debug $OUT.twin && dwz -m $OUT.shared -M $OUT.shared $OUT.debug $OUT.twin && strip -o $OUT $OUT.full && cd $(dirname $OUT) && objcopy --add-gnu-debuglink=$OUT.debug $OUT
// stack: stay < inlined < outer < main
// end: root
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) int stay(int n) {
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
    return n;
}

static inline __attribute__((always_inline)) int inlined(int n) {
    return stay(n) + 1;
}

__attribute__((noinline)) int outer(int n) {
    return inlined(n) * 2;
}

int main(void) {
    return outer(1) + 1;
}
