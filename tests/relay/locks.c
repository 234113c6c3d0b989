// Crashes where a lock is held: in malloc, in stdio, in dlopen; or with no descriptors left.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *sleeper(void *argument) {
    for (;;)
        pause();
    return argument;
}

static void in_malloc(void) {
    char *piece = malloc(24);
    memset(piece, 0xff, 64);
    // glibc finds the damage while it holds the lock, and aborts.
    free(malloc(1 << 16));
    abort();
}

static void in_stdio(void) {
    flockfile(stderr);
    flockfile(stdout);
    *(volatile int *)8 = 1;
}

static void without_descriptors(int crash) {
    while (open("/dev/null", O_RDONLY) >= 0)
        ;
    raise(crash ? SIGSEGV : SIGQUIT);
}

int main(int count, char **arguments) {
    pthread_t thread;
    const char *how = arguments[1];
    pthread_create(&thread, NULL, sleeper, NULL);
    if (!strcmp(how, "malloc"))
        in_malloc();
    if (!strcmp(how, "stdio"))
        in_stdio();
    if (!strcmp(how, "dlopen") && count > 2)
        dlopen(arguments[2], RTLD_NOW);
    if (!strcmp(how, "fds-crash"))
        without_descriptors(1);
    if (!strcmp(how, "fds"))
        without_descriptors(0);
    puts("went on");
    return 7;
}
