// An executable that was deleted (variant deleted: its own path is unlinked), and one that was executed from
// a memfd and has no path at all (variant memfd).
// build(deleted): cc -O2 -g $SRC -o $OUT
// build(memfd): cc -O2 -g -DMEMFD $SRC -o $OUT
// stack: stay < deeper < main
// copy(deleted): yes
// end: root
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static __attribute__((noinline)) int stay(int n) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
    return n;
}

static __attribute__((noinline)) int deeper(int n) {
    volatile int room[40] = {n};
    return stay(n) + room[n];
}

#ifdef MEMFD
static void into_memfd(char **argv) {
    char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("a memfd", MFD_CLOEXEC);
    for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;) (void)!write(to, buffer, (size_t)n);
    char *arguments[] = {argv[0], "again", NULL};
    fexecve(to, arguments, environ);
}
#endif

int main(int argc, char **argv) {
#ifdef MEMFD
    if (argc == 1) into_memfd(argv);
#else
    unlink(argv[0]);
#endif
    return deeper(argc) + 1;
}
