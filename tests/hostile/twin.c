// With NAME: a library whose function has that name. Without: a program that waits inside the library it is
// given; with "memfd" before it, in a copy that has no place in the file system.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef NAME
__attribute__((noinline)) static void NAME(void (*wait)(void)) {
    wait();
    __asm__ volatile("");
}

void enter(void (*wait)(void)) {
    NAME(wait);
    __asm__ volatile("");
}
#else
__attribute__((noinline)) static void wait_inside(void) {
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}

static const char *copy(const char *path) {
    static char name[64], buffer[1 << 16];
    int from = open(path, O_RDONLY), to = memfd_create("twin", 0);
    ssize_t length;
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, length) != length) exit(1);
    snprintf(name, sizeof name, "/proc/self/fd/%d", to);
    return name;
}

int main(int count, char **arguments) {
    const char *path = arguments[count - 1];
    if (count > 2 && !strcmp(arguments[1], "memfd")) path = copy(path);
    void *library = dlopen(path, RTLD_NOW);
    void (*enter)(void (*)(void)) = library ? dlsym(library, "enter") : 0;
    if (!enter) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    enter(wait_inside);
    return 0;
}
#endif
