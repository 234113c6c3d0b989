// A library that was loaded and then deleted, and one that was deleted and replaced by another file.
// build: cc -shared -fPIC -O2 -g -DLIBRARY $SRC -o $OUT.so && cc -O2 -g $SRC -o $OUT -ldl
// build(replaced): cc -shared -fPIC -O2 -g -DLIBRARY $SRC -o $OUT.so && cc -O2 -g -DREPLACE $SRC -o $OUT -ldl
// stack: stay < in_library < main
// no-gdb: gdb has no file for a deleted library and so no unwind information
// end: root
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>
#ifdef LIBRARY
int in_library(int (*callback)(int), int n) {
    volatile int room[300] = {n};
    return callback(n) + room[n];
}
#else
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>

static __attribute__((noinline)) int stay(int n) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
    return n;
}

static void copy(const char *from, const char *to) {
    char buffer[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0755);
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;) (void)!write(out, buffer, (size_t)n);
    close(in);
    close(out);
}

int main(int argc, char **argv) {
    char original[4096], used[4096 + 32];
    snprintf(original, sizeof original, "%s.so", argv[0]);
    snprintf(used, sizeof used, "%s.%d.so", argv[0], (int)getpid());
    copy(original, used);
    void *library = dlopen(used, RTLD_NOW);
    if (!library) return puts(dlerror()), 1;
    int (*in_library)(int (*)(int), int) = (int (*)(int (*)(int), int))dlsym(library, "in_library");
    unlink(used);
#ifdef REPLACE
    copy("/proc/self/exe", used);
#endif
    return in_library(stay, argc) + 1;
}
#endif
