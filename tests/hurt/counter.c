/* A process that counts its work and its signals, the parent that watches it, and the sender of the
 * signals: all three share one file, whose words tests/hurt/counter.rs names. Arguments: the file, the
 * number of threads, the most signals that may be on the way. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_THREADS 256
#define MOST_SIGNALS (32 << 20)

struct shared {
    uint64_t ready, target, sent, received, doubled, strange;
    uint64_t usr1_sent, usr1_got, usr2_sent, usr2_got;
    uint64_t stop_reports, continue_reports, child_signals, quit, rest;
    uint64_t unused[497];
    uint64_t work[MOST_THREADS];
    uint64_t tids[MOST_THREADS];
    uint8_t seen[MOST_SIGNALS];
};

static volatile struct shared *shared;
static int threads;

static uint64_t add(volatile uint64_t *word)
{
    return __sync_fetch_and_add(word, 1);
}

static void on_queued(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    uint32_t number = (uint32_t)info->si_value.sival_int;
    /* What a careless tracer gives back has another origin. */
    if (info->si_code != SI_QUEUE || number >= MOST_SIGNALS) {
        add(&shared->strange);
        return;
    }
    if (__sync_fetch_and_add(&shared->seen[number], 1) != 0)
        add(&shared->doubled);
    add(&shared->received);
}

static void on_usr1(int signal)
{
    (void)signal;
    add(&shared->usr1_got);
}

static void on_usr2(int signal)
{
    (void)signal;
    add(&shared->usr2_got);
}

/* Waits a little, each thread in its own way. */
static void wait_a_little(int index, long microseconds)
{
    struct timespec time = { .tv_nsec = microseconds * 1000 };
    struct timeval value = { .tv_usec = microseconds };
    struct epoll_event event;
    static int epoll = -1;
    uint32_t word = 0;
    switch (index % 6) {
    case 0:
        nanosleep(&time, NULL);
        break;
    case 1:
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time);
        break;
    case 2:
        ppoll(NULL, 0, &time, NULL);
        break;
    case 3:
        if (epoll < 0)
            epoll = epoll_create1(0);
        epoll_wait(epoll, &event, 1, (int)(microseconds / 1000) + 1);
        break;
    case 4:
        select(0, NULL, NULL, NULL, &value);
        break;
    default:
        /* In user mode for a part of the time. */
        for (volatile int i = 0; i < 20000; i++)
            ;
        nanosleep(&time, NULL);
    }
}

static void *work(void *argument)
{
    int index = (int)(intptr_t)argument;
    shared->tids[index] = (uint64_t)syscall(SYS_gettid);
    for (;;) {
        add(&shared->work[index]);
        wait_a_little(index, threads * 100);
    }
    return NULL;
}

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigaction(signal, &action, NULL);
}

static void be_target(void)
{
    struct sigaction action = { .sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigaction(SIGRTMIN, &action, NULL);
    sigaction(SIGRTMIN + 1, &action, NULL);
    handle(SIGUSR1, on_usr1);
    handle(SIGUSR2, on_usr2);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 << 10);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, work, (void *)(intptr_t)i) != 0)
            abort();
    }
    work((void *)0);
}

/* One numbered signal, to the process or to one of its threads in turn. */
static int send_numbered(pid_t target, uint64_t number)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_value.sival_int = (int)number;
    if (number % 4 == 0)
        return (int)syscall(SYS_rt_sigqueueinfo, target, SIGRTMIN, &info);
    uint64_t index = (number - number / 4 - 1) % (uint64_t)threads;
    pid_t tid = (pid_t)shared->tids[index];
    return (int)syscall(SYS_rt_tgsigqueueinfo, target, tid, SIGRTMIN + 1, &info);
}

static void be_sender(uint64_t most)
{
    pid_t target = (pid_t)shared->target;
    struct timespec pause = { .tv_nsec = 100000 };
    prctl(PR_SET_TIMERSLACK, 1);
    while (!shared->quit) {
        for (int burst = 0; burst < 8 && shared->sent < MOST_SIGNALS; burst++) {
            if (shared->rest || shared->sent - shared->received >= most)
                break;
            if (send_numbered(target, shared->sent) != 0)
                break;
            add(&shared->sent);
        }
        /* Ordinary ones do not queue: the next is sent when the last has come. */
        if (!shared->rest && shared->usr1_got == shared->usr1_sent) {
            add(&shared->usr1_sent);
            kill(target, SIGUSR1);
        }
        if (!shared->rest && shared->usr2_got == shared->usr2_sent) {
            pid_t tid = (pid_t)shared->tids[shared->usr2_sent % (uint64_t)threads];
            add(&shared->usr2_sent);
            syscall(SYS_tgkill, target, tid, SIGUSR2);
        }
        nanosleep(&pause, NULL);
    }
}

static void on_child(int signal)
{
    (void)signal;
    add(&shared->child_signals);
}

/* The parent of the target: whatever it is told about its child is counted. */
static void watch(pid_t target)
{
    struct timespec pause = { .tv_nsec = 500000 };
    while (!shared->quit) {
        siginfo_t info = { .si_pid = 0 };
        if (waitid(P_PID, (id_t)target, &info, WSTOPPED | WCONTINUED | WEXITED | WNOHANG) != 0)
            _exit(3);
        if (info.si_pid == 0)
            nanosleep(&pause, NULL);
        else if (info.si_code == CLD_CONTINUED)
            add(&shared->continue_reports);
        else if (info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED)
            add(&shared->stop_reports);
        else
            _exit(4);
    }
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc < 4)
        return 2;
    int file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *shared) != 0)
        return 2;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    threads = atoi(argv[2]);
    if (shared == MAP_FAILED || threads < 1 || threads > MOST_THREADS)
        return 2;
    handle(SIGCHLD, on_child);
    pid_t target = fork();
    if (target == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        handle(SIGCHLD, SIG_DFL);
        be_target();
    }
    shared->target = (uint64_t)target;
    for (int i = 0; i < threads; i++)
        while (shared->tids[i] == 0)
            usleep(1000);
    pid_t sender = fork();
    if (sender == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        be_sender((uint64_t)atol(argv[3]));
        _exit(0);
    }
    shared->ready = 1;
    watch(target);
    kill(target, SIGKILL);
    kill(sender, SIGKILL);
    return 0;
}
