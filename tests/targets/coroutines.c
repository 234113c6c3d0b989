// makecontext/swapcontext coroutines: one thread stands in a coroutine on the heap, one in a coroutine called
// from a coroutine. The outermost frame of a coroutine is __start_context.
// build: cc -O2 -g -pthread $SRC -o $OUT
// stack: stay < body
// stack: stay < inner_body
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

enum { SIZE = 65536 };
static pthread_barrier_t both;
struct pair {
    ucontext_t outside, inside;
    int nested;
};

static __attribute__((noinline)) void stay(void) {
    pthread_barrier_wait(&both);
    for (;;) pause();
}

static void inner_body(void) {
    stay();
    __asm__ volatile("");
}

static void enter(ucontext_t *from, ucontext_t *to, void (*function)(void), void *argument) {
    getcontext(to);
    to->uc_stack.ss_sp = malloc(SIZE);
    to->uc_stack.ss_size = SIZE;
    to->uc_link = from;
    makecontext(to, function, 2, (int)((unsigned long)argument >> 32), (int)(unsigned long)argument);
    swapcontext(from, to);
}

static void body(int high, int low) {
    struct pair *pair = (void *)(((unsigned long)(unsigned)high << 32) | (unsigned)low);
    if (pair->nested) {
        ucontext_t own, next;
        enter(&own, &next, inner_body, NULL);
    }
    stay();
    __asm__ volatile("");
}

static void *worker(void *argument) {
    struct pair *pair = argument;
    enter(&pair->outside, &pair->inside, (void (*)(void))body, pair);
    return NULL;
}

int main(void) {
    static struct pair pairs[2] = {{.nested = 0}, {.nested = 1}};
    pthread_barrier_init(&both, NULL, 3);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, worker, &pairs[i]);
    }
    pthread_barrier_wait(&both);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
