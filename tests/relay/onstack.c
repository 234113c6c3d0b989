// Handlers that want an alternate stack have the program's, or the thread's own: none that it has not set.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char own[1 << 17];
static const char *volatile where;

static void note(int signal) {
    char here;
    pthread_attr_t attributes;
    void *start;
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &start, &size);
    pthread_attr_destroy(&attributes);
    if (&here >= own && &here < own + sizeof own)
        where = "the program's";
    else if (&here >= (char *)start && &here < (char *)start + size)
        where = "the thread's";
    else
        where = "another";
}

static void show(const char *who) {
    int signals[] = {SIGUSR1, SIGQUIT, SIGSEGV, SIGBUS};
    stack_t stack;
    memset(&stack, 7, sizeof stack);
    sigaltstack(NULL, &stack);
    printf("%s: %s, size %zu\n", who, stack.ss_flags & SS_DISABLE ? "no stack" : "a stack", stack.ss_size);
    for (int i = 0; i < 4; i++) {
        struct sigaction now;
        where = "none";
        raise(signals[i]);
        sigaction(signals[i], NULL, &now);
        printf("%s: %d on %s, flags %x\n", who, signals[i], where, now.sa_flags);
    }
}

static void *thread(void *name) {
    show(name);
    return NULL;
}

static void in_thread(char *name) {
    pthread_t id;
    pthread_create(&id, NULL, thread, name);
    pthread_join(id, NULL);
}

int main(void) {
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    struct sigaction plain = {.sa_handler = note};
    sigaction(SIGBUS, &plain, NULL);
    show("first");
    in_thread("thread");
    stack_t mine = {.ss_sp = own, .ss_size = sizeof own}, old;
    memset(&old, 7, sizeof old);
    printf("set %d\n", sigaltstack(&mine, &old));
    printf("before %d %zu\n", old.ss_flags, old.ss_size);
    show("with its own");
    stack_t none = {.ss_flags = SS_DISABLE};
    printf("unset %d\n", sigaltstack(&none, &old));
    printf("before %d %zu\n", old.ss_flags, old.ss_size);
    show("without again");
    return 0;
}
