// Stripped, with its debug information in a separate file found by build ID under a private directory.
// build: cc -O2 -g -Wl,--build-id=sha1 $SRC -o $OUT.full && id=$(readelf -n $OUT.full | sed -n 's/.*Build ID: //p') && mkdir -p $OUT.dir/.build-id/${id%${id#??}} && objcopy --only-keep-debug $OUT.full $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug && strip -o $OUT $OUT.full
// build(compressed): cc -O2 -g -gz=zlib -Wl,--build-id=sha1 $SRC -o $OUT.full && id=$(readelf -n $OUT.full | sed -n 's/.*Build ID: //p') && mkdir -p $OUT.dir/.build-id/${id%${id#??}} && objcopy --only-keep-debug $OUT.full $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug && strip -o $OUT $OUT.full
// build(zdebug): cc -O2 -gdwarf-4 -Wl,--build-id=sha1 $SRC -o $OUT.full && id=$(readelf -n $OUT.full | sed -n 's/.*Build ID: //p') && mkdir -p $OUT.dir/.build-id/${id%${id#??}} && objcopy --only-keep-debug --compress-debug-sections=zlib-gnu $OUT.full $OUT.dir/.build-id/${id%${id#??}}/${id#??}.debug && strip -o $OUT $OUT.full
// debug-dir: $OUT.dir
// stack: stay < inlined < outer < main
// end: root
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) int stay(int n) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
    return n;
}

static inline __attribute__((always_inline)) int inlined(int n) {
    return stay(n) + 7;
}

static __attribute__((noinline)) int outer(int n) {
    return inlined(n) * 3;
}

int main(int argc, char **argv) {
    (void)argv;
    return outer(argc) + 1;
}
