// Stripped, with the symbols that .dynsym lacks in .gnu_debugdata, made as distributions make it.
// build: cc -O2 -g -Wl,--build-id=sha1 -rdynamic $SRC -o $OUT.full && objcopy --only-keep-debug $OUT.full $OUT.mini && nm -D $OUT.full --format=posix --defined-only | awk '{ print $1 }' | sort > $OUT.dynamic && nm $OUT.full --format=posix --defined-only | awk '$2 ~ /^[Tt]$/ { print $1 }' | sort > $OUT.functions && comm -13 $OUT.dynamic $OUT.functions > $OUT.kept && objcopy -S --remove-section .comment --keep-symbols=$OUT.kept $OUT.mini && xz -kf $OUT.mini && strip -o $OUT.bare $OUT.full && objcopy --add-section .gnu_debugdata=$OUT.mini.xz $OUT.bare $OUT
// stack: stay < outer < main
// end: root
#include <stdio.h>
#include <unistd.h>

int visible_data = 7;

static __attribute__((noinline)) int stay(int n) {
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
    return n;
}

/* In .dynsym, between functions that are not. */
__attribute__((noinline)) int outer(int n) {
    return stay(n + visible_data) * 2;
}

int main(void) {
    return outer(1) + 1;
}
