// A program with many of something:
//     threads COUNT    threads with small stacks, all waiting
//     mappings COUNT   mappings that the kernel cannot join
//     names            threads with odd names
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *const names[] = {
    "two  blanks ", "line\nend", "tab\there", "\x1b[2J\x1b[31m", "\xff\xfe\x80", "back\\slash", "quote\"s'",
    "a (deleted)", "\xe2\x80\xae" "bidi", "", ") R 1 (",
};

__attribute__((noinline)) static void wait_for_ever(void) {
    for (;;) pause();
}

static void *body(void *name) {
    if (name) prctl(PR_SET_NAME, name);
    wait_for_ever();
    return 0;
}

static int start(void *name) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 32 << 10);
    return pthread_create(&thread, &attributes, body, name);
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "";
    long wanted = count > 2 ? atol(arguments[2]) : 0, made = 0;
    if (!strcmp(what, "threads"))
        while (made < wanted && !start(0)) made++;
    if (!strcmp(what, "mappings")) {
        char *room = mmap(0, wanted * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        while (made < wanted && !mprotect(room + made * 4096, 4096, PROT_NONE)) made += 2;
    }
    if (!strcmp(what, "names"))
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++) start((void *)names[i]);
    printf("ready %ld\n", made);
    fflush(stdout);
    wait_for_ever();
}
