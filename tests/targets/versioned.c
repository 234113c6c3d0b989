// Versioned symbols of a library: two functions of one name and two versions, a weak alias, a hidden one.
// build: sed -n 's#^//map ##p' $SRC >$OUT.map && cc -O2 -g -DLIBRARY -shared -fPIC -Wl,--version-script=$OUT.map -Wl,-soname=$OUT.so $SRC -o $OUT.so && cc -O2 -g $SRC $OUT.so -o $OUT
// build(g0): sed -n 's#^//map ##p' $SRC >$OUT.map && cc -O2 -DLIBRARY -shared -fPIC -Wl,--version-script=$OUT.map -Wl,-soname=$OUT.so $SRC -o $OUT.so && cc -O2 $SRC $OUT.so -o $OUT
// build(stripped): sed -n 's#^//map ##p' $SRC >$OUT.map && cc -O2 -DLIBRARY -shared -fPIC -s -Wl,--version-script=$OUT.map -Wl,-soname=$OUT.so $SRC -o $OUT.so && cc -O2 $SRC $OUT.so -o $OUT
//map ONE { global: work; local: *; };
//map TWO { global: work; weak_work; } ONE;
// args: old
// args: new
// stack: *pause < hidden_stay < *work* < main
// stack(stripped): *pause < ? < work < main
// end: root
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef LIBRARY
static __attribute__((noinline)) int hidden_stay(int n) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
    return n;
}

__asm__(".symver work_of_one, work@ONE");
__asm__(".symver work_of_two, work@@TWO");

__attribute__((noinline)) int work_of_one(int n) {
    return hidden_stay(n) + 1;
}

__attribute__((noinline)) int work_of_two(int n) {
    return hidden_stay(n) + 2;
}

extern int weak_work(int) __attribute__((weak, alias("work_of_two")));
#else
int work(int);
int old_work(int);
__asm__(".symver old_work, work@ONE");

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "old")) return old_work(argc) + 3;
    return work(argc) + 4;
}
#endif
